"""Keys and passwords in a Modelfile: finding them, and hiding them from whatever is printed.

A model is copied and shared, and so is what `lint` prints; so a secret that is told of is shown
by its first characters only, in every finding about its line.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from mbuild.compiler.diagnostic import Code, Diagnostic, Label, Source, Span
from mbuild.compiler.rules.rule import Rule, Subject, found

# Formats that their issuers document, by their fixed prefixes and lengths. Anything looser would
# take hashes and examples for keys.
_KINDS = {
    "anthropic": ("an Anthropic API key", r"sk-ant-[\w-]{24,}"),
    "openai": ("an OpenAI API key", r"sk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{32,}"),
    "github": ("a GitHub token", r"gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{40,}"),
    "gitlab": ("a GitLab token", r"glpat-[\w-]{20,}"),
    "huggingface": ("a Hugging Face token", r"hf_[A-Za-z]{34,}"),
    "amazon": ("an AWS access key", r"(?:AKIA|ASIA)[0-9A-Z]{16}"),
    "google": ("a Google API key", r"AIza[\w-]{35}"),
    "slack": ("a Slack token", r"xox[abeoprs]-[A-Za-z0-9-]{16,}"),
    "stripe": ("a Stripe key", r"[rs]k_live_[A-Za-z0-9]{20,}"),
    "token": ("a signed token", r"eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{20,}"),
    "private": (
        "a private key",
        r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----[A-Za-z0-9+/=\s]{40,}",
    ),
    "password": ("a password", r"(?<=://)[\w.-]{1,64}:[^\s/@:{}<>$\"']{6,64}(?=@[\w.-]+)"),
}
_APART = r"(?<![\w-])"
_PATTERN = re.compile(
    "|".join(
        f"(?P<{kind}>{'' if kind == 'password' else _APART}(?:{pattern}))"
        for kind, (_, pattern) in _KINDS.items()
    )
)
# A text without any of these has no secret, and most have none.
_HINTS = re.compile(
    r"sk-|gh[pousr]_|github_pat_|glpat-|hf_|AKIA|ASIA|AIza|xox|k_live_|eyJ|PRIVATE KEY|://[^\s@]{0,64}:"
)
_MADE_UP = re.compile(r"(?i:example|your|xxxx|1234567|abcdef|placeholder|secret|password|\*\*)")

_SHOWN = 4  # characters of a secret


def secrets(text: str) -> Iterator[tuple[str, int, int]]:
    """What each secret in *text* is, and where; none that is plainly made up."""
    if not _HINTS.search(text):
        return
    for match in _PATTERN.finditer(text):
        kind = match.lastgroup or ""
        if not _MADE_UP.search(match[0]) and len(set(match[0])) >= _least(kind):
            yield _KINDS[kind][0], match.start(), match.end()


def _least(kind: str) -> int:
    """How many different characters a secret has; one of fewer was typed by hand."""
    return 5 if kind == "password" else 10


def _told(subject: Subject) -> Iterator[Diagnostic]:
    for what, start, end in secrets(subject.text):
        yield from found(
            Code.SECRET,
            f"this looks like {what}, and everyone who has the model can read it",
            subject.source.span(start, end),
            "take it out, and revoke it if the file has been shared",
        )


def hidden(findings: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """*findings* with secrets masked in the lines that they show, and in what they say.

    A fix that would write one is left out.
    """
    masked: dict[Source, Source] = {}

    def source_of(source: Source) -> Source:
        if source not in masked:
            text = _masked(source.text)
            masked[source] = source if text == source.text else Source(source.name, text)
        return masked[source]

    def span_of(span: Span) -> Span:
        return Span(source_of(span.source), span.start, span.end)

    def has_none(finding: Diagnostic) -> bool:
        places = [finding.span, *(label.span for label in finding.labels)]
        said = [finding.message, finding.hint or "", *(label.text for label in finding.labels)]
        return not _HINTS.search("\n".join(said)) and all(
            source_of(place.source) is place.source for place in places
        )

    def shown(finding: Diagnostic) -> Diagnostic:
        if has_none(finding):
            return finding
        labels = [Label(span_of(label.span), _masked(label.text)) for label in finding.labels]
        writes_one = any(_masked(edit.text) != edit.text for edit in finding.fix)
        return replace(
            finding,
            message=_masked(finding.message),
            span=span_of(finding.span),
            hint=None if finding.hint is None else _masked(finding.hint),
            labels=tuple(labels),
            fix=() if writes_one else finding.fix,
        )

    return tuple(map(shown, findings))


def _masked(text: str) -> str:
    """*text* of the same length, with dots for most of each secret."""
    pieces, at = [], 0
    for _, start, end in secrets(text):
        shown = start + _SHOWN
        pieces += [text[at:shown], re.sub(r"[^\r\n]", "•", text[shown:end])]
        at = end
    return "".join([*pieces, text[at:]])


RULES = (
    Rule(
        Code.SECRET,
        "The file has a key, a token or a password in it.",
        "The texts of a model can be read by everyone who has it, and a model is easily coaxed"
        " into telling them. What is told of is shown by its first characters only.",
        "FROM llama3.2:3b\nSYSTEM The seeds are in postgres://polly:Cr4ck-er77@db.local/seeds.\n",
        "FROM llama3.2:3b\nSYSTEM The seeds are in the database.\n",
        check=_told,
    ),
)
