"""A shell with a tiny model beside it."""

import sys
from pathlib import Path

import pytest
from gguf_files import tiny_llama

sys.path.insert(0, str(Path(__file__).parent))

from shell import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    folder = tmp_path / "work"
    folder.mkdir()
    tiny_llama(folder / "m.gguf")
    return Shell(folder, tmp_path / "store")
