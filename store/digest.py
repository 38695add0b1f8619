"""The name of a blob: a SHA-256.

A digest becomes a path, so one that is ill-formed cannot exist: :class:`Digest` holds 64
lower-case hex digits, or it is not made. Everything from outside goes through
:meth:`Digest.parse`, which is why no manifest can name a file outside its folder.
"""

import hashlib
import re
from dataclasses import dataclass

_HEX = re.compile(r"[0-9a-f]{64}")


class BadDigest(ValueError):
    """A text that is no SHA-256 digest."""

    def __init__(self, text: str) -> None:
        super().__init__(f"not a sha256 digest: {text!r}")
        self.text = text


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A SHA-256, held as 64 lower-case hex digits.

    >>> str(Digest.of(b""))[:16]
    'sha256:e3b0c4429'
    """

    hex: str

    def __post_init__(self) -> None:
        if not _HEX.fullmatch(self.hex):
            raise BadDigest(self.hex)

    @classmethod
    def of(cls, data: bytes) -> "Digest":
        """The digest of *data*."""
        return cls(hashlib.sha256(data).hexdigest())

    @classmethod
    def parse(cls, text: str) -> "Digest":
        """The digest that *text* writes as ``sha256:<hex>`` or ``sha256-<hex>``, in any case.

        Raises:
            BadDigest: anything else, such as another algorithm, a length other than 64, a path.

        """
        if not text.startswith(("sha256:", "sha256-")):
            raise BadDigest(text)
        try:
            return cls(text[7:].lower())
        except BadDigest:
            raise BadDigest(text) from None

    def __str__(self) -> str:
        return f"sha256:{self.hex}"

    @property
    def filename(self) -> str:
        """What the blob is called in its folder."""
        return f"sha256-{self.hex}"

    @property
    def short(self) -> str:
        """The first twelve digits, as people see them."""
        return self.hex[:12]
