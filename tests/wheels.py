"""A package index of the tests' own: wheels made here, served on loopback as pip expects."""

import hashlib
import threading
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def make_wheel(
    folder: Path,
    project: str,
    version: str,
    files: Mapping[str, bytes],
    *,
    record: Mapping[str, bytes] | None = None,
) -> Path:
    """A wheel with *files*; *record* lies about some of them."""
    name = project.replace("-", "_")
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n".encode()
    tags = b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    members = {**files, f"{info}/METADATA": metadata, f"{info}/WHEEL": tags}
    rows = [_row(path, (record or {}).get(path, data)) for path, data in members.items()]
    members[f"{info}/RECORD"] = "".join([*rows, f"{info}/RECORD,,\n"]).encode()
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return path


def _row(path: str, data: bytes) -> str:
    digest = urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(data)}\n"


class Index:
    """A folder of wheels and the requests that it has answered."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[str] = []
        self.url = ""

    def environment(self) -> dict[str, str]:
        """What makes pip ask this index and no other."""
        return {
            "PIP_INDEX_URL": self.url,
            "PIP_EXTRA_INDEX_URL": "",
            "PIP_FIND_LINKS": "",
            "PIP_CONFIG_FILE": "/dev/null",
            "PIP_NO_CACHE_DIR": "1",
            "PIP_RETRIES": "0",
        }

    def pages(self) -> None:
        """Write the index pages for the wheels that are in the folder."""
        for wheel in self.folder.glob("*.whl"):
            page = self.folder / "simple" / wheel.name.split("-")[0].replace("_", "-")
            page.mkdir(parents=True, exist_ok=True)
            links = "".join(
                f'<a href="../../{other.name}#sha256={_sha256(other)}">{other.name}</a>\n'
                for other in sorted(self.folder.glob("*.whl"))
                if other.name.split("-")[0] == wheel.name.split("-")[0]
            )
            (page / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def index(folder: Path) -> Iterator[Index]:
    """An index over *folder*, which pip can be pointed at."""
    served = Index(folder)

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            served.requests.append(self.path)

    handler = partial(Handler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        served.url = f"http://127.0.0.1:{server.server_port}/simple/"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
