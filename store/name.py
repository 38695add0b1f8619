"""The name of a model: host/namespace/model:tag, and where its manifest lies.

A name becomes a path, so an invalid one cannot exist: :class:`Name` is made only of parts that
are valid, and none of those can be ``..`` or hold a slash. :func:`split` takes any text apart
without judging it.

Source: the reference's name rules (form, lengths, characters, defaults).
"""

import re
from dataclasses import dataclass

DEFAULT_HOST = "registry.ollama.ai"
DEFAULT_NAMESPACE = "library"
DEFAULT_TAG = "latest"

# What stands for a part that a separator promised and that is empty: never valid.
_MISSING = "!MISSING!"

_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}")
_NAMESPACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")  # A model or a tag.


class BadName(ValueError):
    """A text that names no model."""

    def __init__(self, text: str) -> None:
        super().__init__(f"not a model name: {text!r}")
        self.text = text


@dataclass(frozen=True, slots=True)
class Parts:
    """The four parts of a name, valid or not; an empty one was not given."""

    host: str
    namespace: str
    model: str
    tag: str

    def filled(self) -> "Parts":
        """These parts, with the defaults for those that were not given (a model has none)."""
        return Parts(
            self.host or DEFAULT_HOST,
            self.namespace or DEFAULT_NAMESPACE,
            self.model,
            self.tag or DEFAULT_TAG,
        )

    @property
    def valid(self) -> bool:
        """Whether each part by itself may stand in a name."""
        return bool(
            _HOST.fullmatch(self.host)
            and _NAMESPACE.fullmatch(self.namespace)
            and _WORD.fullmatch(self.model)
            and _WORD.fullmatch(self.tag)
        )

    def __str__(self) -> str:
        """The full name: all parts that were given, without a scheme."""
        host = f"{self.host}/" if self.host else ""
        namespace = f"{self.namespace}/" if self.namespace else ""
        tag = f":{self.tag}" if self.tag else ""
        return f"{host}{namespace}{self.model}{tag}"

    @property
    def short(self) -> str:
        """The name as people see it: without the default host, and then the default namespace."""
        if not same_ignoring_case(self.host, DEFAULT_HOST):
            return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"
        if not same_ignoring_case(self.namespace, DEFAULT_NAMESPACE):
            return f"{self.namespace}/{self.model}:{self.tag}"
        return f"{self.model}:{self.tag}"


@dataclass(frozen=True, slots=True)
class Name(Parts):
    """The full and valid name of a model. It keeps the case that it was given.

    >>> str(Name.parse("llama3"))
    'registry.ollama.ai/library/llama3:latest'
    """

    def __post_init__(self) -> None:
        if not self.valid:
            raise BadName(str(self))

    @classmethod
    def parse(cls, text: str) -> "Name":
        """The name that *text* stands for once the defaults are filled in.

        Raises:
            BadName: a part is empty though its separator is there, too long, or has a character
                that it may not have.

        """
        parts = split(text).filled()
        try:
            return cls(parts.host, parts.namespace, parts.model, parts.tag)
        except BadName:
            raise BadName(text) from None

    @property
    def path(self) -> str:
        """Where the manifest lies, relative to the folder of manifests."""
        return f"{self.host}/{self.namespace}/{self.model}/{self.tag}"


def split(text: str) -> Parts:
    """The parts of *text*, as they stand, without defaults and without judging them.

    >>> split("hf.co/me/kid:")
    Parts(host='hf.co', namespace='me', model='kid', tag='!MISSING!')
    """
    tag = ""
    if text.rfind(":") > text.rfind("/"):
        text, tag = _cut_last(text, ":")
    if "/" not in text:
        return Parts("", "", text, tag)
    text, model = _cut_last(text, "/")
    if "/" not in text:
        return Parts("", text, model, tag)
    text, namespace = _cut_last(text, "/")
    before, scheme, after = text.partition("://")
    return Parts(after if scheme else before, namespace, model, tag)


def same_ignoring_case(one: str, other: str) -> bool:
    """Whether two parts differ in case only."""
    # The lengths, because a full case folding can turn one letter into two.
    return len(one) == len(other) and one.casefold() == other.casefold()


def _cut_last(text: str, separator: str) -> tuple[str, str]:
    before, _, after = text.rpartition(separator)
    return before or _MISSING, after or _MISSING
