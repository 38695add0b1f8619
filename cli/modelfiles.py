"""Which Modelfiles the words of a command line mean: files, and all that are in folders."""

import os
from collections.abc import Iterator, Sequence


def modelfiles(paths: Sequence[str]) -> Iterator[str]:
    """The files that *paths* name, each once, in their order; the Modelfile here if there are none.

    A folder stands for the Modelfiles in it and below it, in the order of their names. Hidden
    folders in it are left out, and links to folders are not followed. What is no folder is not
    looked at: it may be ``-``, or missing.
    """
    found = (file for path in paths for file in (_below(path) if os.path.isdir(path) else [path]))
    yield from dict.fromkeys(found) if paths else ["Modelfile"]


def is_modelfile(filename: str) -> bool:
    """Whether a file of that name in a folder is taken for a Modelfile.

    >>> is_modelfile("Modelfile.kid"), is_modelfile("kid.modelfile"), is_modelfile("README.md")
    (True, True, False)
    """
    return (
        filename == "Modelfile"
        or filename.startswith("Modelfile.")
        or filename.endswith((".Modelfile", ".modelfile"))
    )


def _below(folder: str) -> Iterator[str]:
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = os.path.join(where, name)
            if is_modelfile(name) and os.path.isfile(path):
                yield os.path.normpath(path)
