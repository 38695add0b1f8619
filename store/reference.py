"""A name as it was asked for, with the place where the reference would look for it.

Source: the reference's suffixes ``:cloud``, ``:local`` and ``-cloud``.
"""

from dataclasses import dataclass


class BadReference(ValueError):
    """A text that refers to no model; *reason* is the reference's own sentence."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(f"{reason}: {text!r}")
        self.text = text
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Reference:
    """A name as it was asked for, and where the reference would look: "cloud", "local" or ""."""

    base: str
    place: str = ""


def refer(text: str) -> Reference:
    """What *text* refers to, with a trailing ``:cloud``, ``:local`` or ``-cloud`` taken off.

    Raises:
        BadReference: there is no text, or two such endings.

    """
    text = text.strip()
    if not text:
        raise BadReference(text, "model is required")
    reference = _without_place(text)
    if reference.place and _without_place(reference.base).place:
        raise BadReference(text, "use either :local or :cloud, not both")
    return reference


def _without_place(text: str) -> Reference:
    before, colon, after = text.rpartition(":")
    tag = after.strip()
    if not colon:
        return Reference(text)
    if tag.lower() in {"cloud", "local"}:
        return Reference(before, tag.lower())
    if tag.lower().endswith("-cloud") and "/" not in tag:
        return Reference(f"{before}:{tag[: -len('-cloud')]}", "cloud")
    return Reference(text)
