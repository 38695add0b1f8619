"""What can go wrong with a template: it does not parse, or it fails while it runs.

Both carry offsets in characters into the template's text, so that whoever knows where that
text came from (a Modelfile) can point at it, and the message that the reference gives.
"""

from mbuild.compiler.template.octets import octets


class BadTemplate(Exception):
    """A text that is no template.

    ``str()`` is the reference's message, ``reason`` the part of it that says what is wrong;
    the fault lies in ``text[start:end]``, half-open, in characters.
    """

    def __init__(self, message: str, reason: str, start: int, end: int) -> None:
        """A fault in ``text[start:end]``."""
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.start = start
        self.end = end


class RenderFailed(Exception):
    """A template that failed while it ran; the fields are those of :class:`BadTemplate`."""

    def __init__(self, message: str, reason: str, start: int, end: int) -> None:
        """A failure of the node that is written at ``text[start:end]``."""
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.start = start
        self.end = end


class CallFailed(Exception):
    """What a function of the language says when it refuses its arguments.

    Never leaves a rendering: the call that it happened in makes a :class:`RenderFailed` of it.
    """


def place(text: str, offset: int) -> tuple[int, int]:
    """The line of *offset* (from 1) and its column (from 0, in bytes), as Go counts them."""
    before = text[:offset]
    start = before.rfind("\n") + 1
    return before.count("\n") + 1, len(octets(before[start:]))
