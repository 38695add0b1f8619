"""What is in a store, read with nothing of mbuild: paths, JSON and SHA-256."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

Standing = dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the files of the store at *root* say."""

    root: Path

    def models(self) -> Standing:
        """Where each manifest lies, and what it holds."""
        return self._files("manifests")

    def revisions(self) -> set[tuple[str, str]]:
        """The folder of each numbered revision, and its manifest."""
        return {
            (path.rpartition("/")[0], json.loads(data)["manifest"])
            for path, data in self._files("mbuild/history").items()
            if path.rpartition("/")[2][:-5].isdecimal()
        }

    def lost(self) -> list[str]:
        """Blobs that a model or a revision needs and that are not there as they should be."""
        manifests = [data.decode() for data in self.models().values() if data]
        manifests += [manifest for _, manifest in self.revisions()]
        return sorted({digest for text in manifests for digest in _blobs(text)} - self._whole())

    def _whole(self) -> set[str]:
        return {
            path
            for path, data in self._files("blobs").items()
            if path == f"sha256-{hashlib.sha256(data).hexdigest()}"
        }

    def _files(self, folder: str) -> dict[str, bytes]:
        top = self.root / folder
        return {
            str(path.relative_to(top)): path.read_bytes()
            for path in top.rglob("*")
            if path.is_file() and not path.name.startswith(".")
        }


def _blobs(manifest: str) -> set[str]:
    fields = json.loads(manifest)
    layers = [fields["config"], *(fields["layers"] or [])]
    return {layer["digest"].replace(":", "-") for layer in layers if layer and layer["digest"]}
