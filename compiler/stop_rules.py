"""What is doubtful about the texts that PARAMETER stop gives.

The model's words are compared with them as text, the earliest match ending the answer, so a stop
that looks like a token of another model's vocabulary is mostly a slip.
"""

import re
from collections.abc import Collection, Iterator, Sequence

from mbuild.compiler.diagnostic import Code, Diagnostic, Span

_SURE = re.compile(r"<[|｜][^<>\s]{1,60}>|<[^<>\s]{1,60}[|｜]>")
_PLAIN = re.compile(r"</?[A-Za-z_][\w-]{0,60}>|<</?[A-Z]{1,20}>>|\[/?[A-Z][A-Z0-9_]{0,40}\]")

MARKER = re.compile(f"{_SURE.pattern}|{_PLAIN.pattern}")
"""What looks like a special token: ``<|im_end|>``, ``</s>``, ``[INST]``."""

Stop = tuple[str, Span]
"""A stop text, and where it stands."""


def idle(stops: Sequence[Stop]) -> tuple[Diagnostic, ...]:
    """Findings about stops that never end an answer."""
    reasons = _reasons([text for text, _ in stops])
    return tuple(
        Diagnostic(Code.IDLE_STOP, *_said(text, reason, span))
        for (text, span), reason in zip(stops, reasons, strict=True)
        if reason is not None
    )


def no_tokens(
    stops: Sequence[Stop], tokens: Collection[str], own: Collection[str], written: str
) -> tuple[Diagnostic, ...]:
    """Findings about stops that look like tokens but are none of *tokens*.

    *own* are the markers that the weights' chat template writes, *written* is what the model is
    sent besides: a plain marker that stands there may well come back.
    """
    return tuple(
        Diagnostic(
            Code.STOP_IS_NO_TOKEN,
            f"stop {text} looks like a token, and this vocabulary has no such token",
            span,
            _instead(text, tokens),
        )
        for text, span in stops
        if text not in tokens and text not in own and _is_doubtful(text, written)
    )


def _is_doubtful(text: str, written: str) -> bool:
    if _SURE.fullmatch(text):
        return True
    return _PLAIN.fullmatch(text) is not None and text not in written


def _instead(text: str, tokens: Collection[str]) -> str:
    # Imported here: only a mistake needs it.
    from difflib import get_close_matches

    close = get_close_matches(text, sorted(tokens), n=1, cutoff=0.7)
    if close:
        return f"did you mean {close[0]}?"
    return "it only matches if the model spells it out; other models have other tokens"


def _reasons(texts: Sequence[str]) -> Iterator[str | None]:
    """For each of *texts* why it never matches, if so."""
    # In order each text stands right behind its prefixes, so that one look back is enough.
    shortest: dict[str, str] = {}
    head = None
    for text in sorted(set(texts)):
        if head is not None and text.startswith(head):
            shortest[text] = head
        elif text:
            head = text
    seen: set[str] = set()
    for text in texts:
        if not text:
            yield "empty"
        elif text in seen:
            yield "repeated"
        elif text in shortest:
            yield shortest[text]
        else:
            yield "escaped" if re.search(r"\\[nrt]", text) else None
        seen.add(text)


def _said(text: str, reason: str, span: Span) -> tuple[str, Span, str]:
    """The message, the place and the hint of a finding."""
    match reason:
        case "empty":
            return "an empty stop never matches", span, "leave it out"
        case "repeated":
            return f"stop {text} stands twice", span, "leave this one out"
        case "escaped":
            message = f"stop {text} has a backslash and a letter, which models hardly ever write"
            hint = 'there are no escapes; a line end stands between """ as it is'
            return message, span, hint
    return f"stop {text} can never match: {reason} ends the answer first", span, "leave it out"
