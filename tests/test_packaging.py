"""What is installed: one package called mbuild, from a wheel that was made from the sdist."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an sdist, and the wheel that was made from it."""
    folder = tmp_path_factory.mktemp("dist")
    # Without isolation nothing is fetched; setuptools is in the extra `dev`.
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def _names(built: Path) -> list[str]:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_the_wheel_installs_one_name(built: Path) -> None:
    assert {name.split("/")[0] for name in _names(built)} == {
        "mbuild",
        "mbuild_modelfile-0.1.0.dist-info",
    }


def test_every_module_and_data_file_is_in_the_wheel(built: Path) -> None:
    rooms = ("cli", "compiler", "runtime", "store")
    files = [
        path.relative_to(ROOT)
        for room in rooms
        for path in (ROOT / room).rglob("*")
        if path.suffix in {".py", ".lark"} or path.name == "py.typed"
    ]
    top = Path("cli/mbuild")
    expected = {
        str(Path("mbuild") / (path.relative_to(top) if path.is_relative_to(top) else path))
        for path in files
    }
    assert {name for name in _names(built) if ".dist-info/" not in name} == expected


def test_the_sdist_has_what_the_wheel_is_made_of(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "compiler/modelfile.lark"} <= names


def test_the_wheel_works_where_the_checkout_is_not(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    target = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    subprocess.run([*install, str(target), str(wheel)], check=True, capture_output=True)
    script = "import mbuild.compiler.check as m; print(m.__file__)"
    for words in (["-c", script], ["-m", "mbuild", "list", "--models-dir", str(tmp_path / "s")]):
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(target)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.startswith((str(target), "NAME "))
