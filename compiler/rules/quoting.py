"""Rules about what looks like a quote, an escape or a comment, and is part of the value."""

import re
from collections.abc import Iterator

from mbuild.compiler.diagnostic import Code, Diagnostic, Edit, Label
from mbuild.compiler.parameters import OPTIONS, Type
from mbuild.compiler.rules.rule import Mending, Rule, Subject, found, quoted
from mbuild.compiler.syntax import Instruction, Parameter, Value

_NAMING = ("from", "adapter", "draft", "renderer", "parser", "include", "quantize")
_PROSE = ("system", "template", "license", "message")
_REMARK = re.compile(r"(?<![ \t])[ \t]++#[ \t]*+(?=\S)")


def _plain(node: Instruction) -> bool:
    """Whether the value stands without quotes, on its one line, as it is in the file."""
    return not node.value.quotes and not node.value.flags and bool(node.value.text)


def _remark(value: Value) -> re.Match[str] | None:
    """What looks like a comment in an unquoted value."""
    return _REMARK.search(value.text)


def _comment_in_value(subject: Subject) -> Iterator[Diagnostic]:
    for node in (*subject.parts.of(*_NAMING), *subject.parts.stops):
        match = _remark(node.value) if _plain(node) else None
        # A stop such as ## User: is no remark, as it begins with the sign.
        if match is None or node.value.text.startswith("#"):
            continue
        start = node.value.span.start + match.start()
        span = subject.source.span(subject.text.index("#", start), node.value.span.end)
        yield from found(
            Code.COMMENT_IN_VALUE,
            "what looks like a comment is part of the value",
            span,
            "a comment needs a line of its own, which begins with #",
            fix=_moved(subject, node, start),
        )


def _moved(subject: Subject, node: Instruction, start: int) -> tuple[Edit, ...]:
    """What makes the text from *start* to the end of the value a comment above the instruction."""
    source, end = subject.source, node.value.span.end
    line, column = source.position(node.span.start)
    head = node.span.start - column + 1
    ends = source.line_starts[line : line + 1]
    line_end = subject.text[source.line_end(node.span.start) : ends[0]] if ends else "\n"
    indent = subject.text[head : node.span.start]
    remark = subject.text[start:end].strip(" \t")
    at = source.span(node.span.start, node.span.start)
    return Edit(at, f"{remark}{line_end}{indent}"), Edit(source.span(start, end), "")


_AT_THE_END = re.compile(r"[^#`]+[ \t]#[ \t]++[^#]++$")
# "Begin with a # and", "write in C # only", "use # for headings".
_ABOUT_SIGNS = re.compile(
    r"(?i:\b(?:a|an|the|use|using|with|by|or|and|in|of|as|like|sign|symbol|character|[cfj]))$"
)


def _comment_in_text(subject: Subject) -> Iterator[Diagnostic]:
    for node in subject.parts.of(*_PROSE):
        match = _remark(node.value) if _plain(node) else None
        if match is None or not _AT_THE_END.match(node.value.text):
            continue
        if _ABOUT_SIGNS.search(node.value.text[max(0, match.start() - 20) : match.start()]):
            continue
        start = node.value.span.start + match.start()
        span = subject.source.span(subject.text.index("#", start), node.value.span.end)
        yield from found(
            Code.COMMENT_IN_TEXT,
            "the model gets this, as a comment needs a line of its own",
            span,
            "a text that is meant to have it is clearer in quotes",
        )


def _texts(subject: Subject) -> Iterator[Instruction]:
    """The instructions whose values are texts or names, not numbers."""
    yield from subject.parts.of(*_NAMING, *_PROSE)
    yield from subject.parts.stops


_FOREIGN = ("'''", "```", "“““", "‘‘‘")
_CURLY = {"“": "”“", "”": "”", "„": "“”", "«": "»", "‘": "’", "‹": "›"}


def _foreign_quotes(subject: Subject) -> Iterator[Diagnostic]:
    for node in _texts(subject):
        text = node.value.text
        if not _plain(node) or not text.startswith(_FOREIGN):
            continue
        if len(text) >= 6 and text.endswith(text[:3]) and text[0] == "'":
            continue  # Told as single quotes, which a machine can mend.
        span = subject.source.span(node.value.span.start, node.value.span.start + 3)
        hint = 'a text of several lines stands between """'
        yield from found(Code.FOREIGN_QUOTES, f"{text[:3]} opens nothing here", span, hint)


def _wrong_quotes(subject: Subject) -> Iterator[Diagnostic]:
    for node in _texts(subject):
        text = node.value.text
        if not _plain(node) or len(text) < 2:
            continue
        inside = _inside_single(text)
        if inside is not None:
            yield from _misquoted(Code.SINGLE_QUOTES, node, "' is no quote here", inside)
        elif text[-1] in _CURLY.get(text[0], "") and not any(
            each in text[1:-1] for each in (text[0], text[-1])
        ):
            message = f"{text[0]} and {text[-1]} are no quotes here"
            yield from _misquoted(Code.CURLY_QUOTES, node, message, text[1:-1])


def _inside_single(text: str) -> str | None:
    for quote in ("'''", "'"):
        if len(text) >= 2 * len(quote) and text.startswith(quote) and text.endswith(quote):
            inside = text[len(quote) : -len(quote)]
            # 'tis no quoting where another one is in between: 'a' and 'b'.
            return inside if "'" not in re.sub(r"\w'\w", "", inside) else None
    return None


def _misquoted(code: Code, node: Instruction, message: str, inside: str) -> Iterator[Diagnostic]:
    span = node.value.span
    hint = 'quotes are " and """'
    fix = () if inside.endswith('"') else (Edit(span, quoted(inside)),)
    yield from found(code, f"{message}, so both become part of the value", span, hint, fix=fix)


def _stray_quote(subject: Subject) -> Iterator[Diagnostic]:
    for node in (*subject.parts.of(*_NAMING), *subject.parts.stops):
        text = node.value.text
        if _plain(node) and text.count('"') == 1 and text.endswith('"') and len(text) > 1:
            end = node.value.span.end
            span = subject.source.span(end - 1, end)
            hint = "quote the whole value, or leave this out"
            yield from found(Code.STRAY_QUOTE, "a quote that closes nothing", span, hint)


_ESCAPE = re.compile(r"\\(?:[nrt](?![a-z]*[\"'`])|\")")
_ACTION = re.compile(r"\{\{[^{}]*+\}\}")


def _escape_in_text(subject: Subject) -> Iterator[Diagnostic]:
    for node in subject.parts.of("system", "template", "message"):
        written = node.value.span.text
        if "\\" not in written or _has_lines(node.value.text) or "`" in written:
            continue
        if node.value.quotes == "<<":
            continue
        match = _ESCAPE.search(_ACTION.sub(lambda action: "." * len(action[0]), written))
        if match is None or (match[0] == '\\"' and node.value.quotes != '"'):
            continue
        if match[0] != '\\"' and not _is_escape(written, match.start()):
            continue
        start = node.value.span.start + match.start()
        span = subject.source.span(start, start + len(match[0]))
        message = f"{match[0]} is a backslash and a {_SECOND.get(match[0][1], 'letter')} here"
        hint = 'there are no escapes; a text with line ends or quotes in it stands between """'
        yield from found(Code.ESCAPE_IN_TEXT, message, span, hint)


_SECOND = {'"': "quote", "n": "letter", "r": "letter", "t": "letter"}


def _has_lines(text: str) -> bool:
    return "\n" in text or "\r" in text


def _is_escape(written: str, at: int) -> bool:
    """Whether what stands at *at* ends a sentence or a line, and is not talked about itself."""
    before, after = written[at - 1 : at], written[at + 2 : at + 3]
    if before == "\\" or (before in " \t" and after in " \t,.;:)"):
        return False
    # C:\new is a path.
    return not re.search(r"[A-Za-z]:(?:\\\w*)*$", written[max(0, at - 200) : at])


_LONGEST_LIST = 1000  # characters; a longer stop is a text
_SEVERAL = re.compile(r'"\s*,?\s+"')
_LIST = re.compile(r"\[\s*(?:\"[^\"]*\"|'[^']*')(?:\s*,\s*(?:\"[^\"]*\"|'[^']*'))*\s*\]")
_ITEM = re.compile(r"\"([^\"]*)\"|'([^']*)'")


def _several_stops(subject: Subject) -> Iterator[Diagnostic]:
    for node in subject.parts.stops:
        written = node.value.span.text
        listed = len(written) <= _LONGEST_LIST and _LIST.fullmatch(written) is not None
        if len(written) > _LONGEST_LIST or not (
            listed or (written[:1] == '"' and _SEVERAL.search(written))
        ):
            continue
        items = [double or single for double, single in _ITEM.findall(written)]
        clean = listed or re.fullmatch(r'"[^"]*"(?:\s*,?\s+"[^"]*")+', written) is not None
        yield from found(
            Code.SEVERAL_STOPS,
            "one stop, which has quotes in it",
            node.value.span,
            "each stop has a PARAMETER stop of its own",
            fix=_split(subject, node, items) if clean and all(items) else (),
        )


def _split(subject: Subject, node: Parameter, items: list[str]) -> tuple[Edit, ...]:
    head = subject.text[node.span.start : node.value.span.start]
    lines = "\n".join(f"{head}{quoted(item)}" for item in items)
    return (Edit(node.span, lines),)


def _cut_stop(subject: Subject) -> Iterator[Diagnostic]:
    for node in subject.parts.stops:
        end = node.value.span.end
        after = subject.text[end : subject.source.line_end(end)]
        if node.value.quotes or not node.value.text or not after:
            continue
        if after.strip(" \t"):
            continue
        yield from found(
            Code.CUT_STOP,
            "the blank behind this stop is no part of it",
            subject.source.span(end, end + len(after)),
            f"write {quoted(node.value.text + after)} to keep it, or leave the blank out",
        )


def _quoted_number(subject: Subject) -> Iterator[Diagnostic]:
    for node in subject.parts.parameters:
        option = OPTIONS.get(node.name.text)
        value = node.value
        if option is None or option.type is Type.TEXTS or not value.literal:
            continue
        if not value.cleaned or value.cleaned != value.text or " " in value.text:
            continue
        yield from found(
            Code.QUOTED_NUMBER,
            f"{option.name} needs no quotes",
            value.span,
            fix=(Edit(value.span, value.text),),
        )


def _short_stop(subject: Subject) -> Iterator[Diagnostic]:
    for node in subject.parts.stops:
        text = node.value.text
        if len(text) == 1 and text.isalnum() and text.isascii():
            yield from found(
                Code.SHORT_STOP,
                f"stop {text} ends the answer at the first {text}, also within a word",
                node.value.span,
            )


def behind_quote(subject: Subject, finding: Diagnostic) -> tuple[Edit, ...]:
    """Make a comment behind a closing quote a line of its own."""
    junk = subject.parts.holding(finding.span)
    text = finding.span.text
    if junk is None or not text.startswith("#") or '"' in text or "\n" in text or "\r" in text:
        return ()
    start = finding.span.start
    while subject.text[start - 1] in " \t":
        start -= 1
    at = subject.source.span(junk.span.start, junk.span.start)
    return Edit(at, f"{text}\n"), Edit(subject.source.span(start, finding.span.end), "")


def behind_number(subject: Subject, finding: Diagnostic) -> tuple[Edit, ...]:
    """Make a comment behind a number or a version a line of its own."""
    node = subject.parts.said_at(finding.span)
    match = _remark(node.value) if node is not None and _plain(node) else None
    if node is None or match is None or node.value.span != finding.span:
        return ()
    return _moved(subject, node, node.value.span.start + match.start())


def repeats(subject: Subject, finding: Diagnostic) -> tuple[Label, ...]:
    """Where the stop stands first that *finding* says stands twice."""
    node = subject.parts.said_at(finding.span)
    if node is None or not finding.message.endswith("stands twice"):
        return ()
    first = subject.parts.first_stops[node.value.text]
    return (Label(first.value.span, "it stands here already"),) if first is not node else ()


RULES = (
    Rule(
        Code.COMMENT_IN_VALUE,
        "Behind a name, a path or a stop stands what looks like a comment.",
        "A comment begins a line. Behind a value it is part of the value: this FROM asks for a"
        " model that is called llama3.2:3b # the small one.",
        "FROM llama3.2:3b # the small one\n",
        "# the small one\nFROM llama3.2:3b\n",
        Mending.OTHER_VALUE,
        _comment_in_value,
    ),
    Rule(
        Code.COMMENT_IN_TEXT,
        "At the end of an unquoted text stands what looks like a comment.",
        "A comment begins a line. Here it is part of the text, and the model reads it.",
        "FROM llama3.2:3b\nSYSTEM You are a parrot. # short for now\n",
        "FROM llama3.2:3b\n# short for now\nSYSTEM You are a parrot.\n",
        check=_comment_in_text,
    ),
    Rule(
        Code.SINGLE_QUOTES,
        "A value stands in single quotes.",
        'Only " and """ are quotes. Apostrophes are part of the value: this stop never matches,'
        " as the model does not write them.",
        "FROM llama3.2:3b\nPARAMETER stop '<|im_end|>'\n",
        'FROM llama3.2:3b\nPARAMETER stop "<|im_end|>"\n',
        Mending.OTHER_VALUE,
        _wrong_quotes,
    ),
    Rule(
        Code.CURLY_QUOTES,
        "A value stands in typographic quotes.",
        "A word processor or a web page has made them of straight ones. They are part of the"
        " value.",
        "FROM llama3.2:3b\nSYSTEM “You are a parrot.”\n",
        'FROM llama3.2:3b\nSYSTEM "You are a parrot."\n',
        Mending.OTHER_VALUE,
    ),
    Rule(
        Code.FOREIGN_QUOTES,
        "A value begins with ''' or ```.",
        "They open nothing, so the value ends with the line. A text of several lines stands"
        ' between """.',
        "FROM llama3.2:3b\nSYSTEM ```\n",
        'FROM llama3.2:3b\nSYSTEM """\nYou are a parrot.\n"""\n',
        check=_foreign_quotes,
    ),
    Rule(
        Code.STRAY_QUOTE,
        "A name, a path or a stop ends with a quote and does not begin with one.",
        "The quote is part of the value.",
        'FROM llama3.2:3b\nPARAMETER stop </s>"\n',
        'FROM llama3.2:3b\nPARAMETER stop "</s>"\n',
        check=_stray_quote,
    ),
    Rule(
        Code.ESCAPE_IN_TEXT,
        r"A text of one line has \n or \" in it.",
        r"There are no escapes, so the model reads a backslash and a letter. A text with line ends"
        ' or quotes in it stands between """ as it is.',
        'FROM llama3.2:3b\nSYSTEM "You are a parrot.\\nRepeat what you hear."\n',
        'FROM llama3.2:3b\nSYSTEM """You are a parrot.\nRepeat what you hear."""\n',
        check=_escape_in_text,
    ),
    Rule(
        Code.SEVERAL_STOPS,
        "A stop is written as a list.",
        "PARAMETER stop takes one text. A list is one text with brackets, quotes and commas in it,"
        " which the model never writes.",
        'FROM llama3.2:3b\nPARAMETER stop ["User:", "Bot:"]\n',
        'FROM llama3.2:3b\nPARAMETER stop "User:"\nPARAMETER stop "Bot:"\n',
        Mending.OTHER_VALUE,
        _several_stops,
    ),
    Rule(
        Code.CUT_STOP,
        "Behind an unquoted stop stands a blank.",
        "Blanks at both ends of an unquoted value are cut off. If the blank is meant to be part of"
        " the stop, it needs quotes.",
        "FROM llama3.2:3b\nPARAMETER stop User: \n",
        'FROM llama3.2:3b\nPARAMETER stop "User: "\n',
        check=_cut_stop,
    ),
    Rule(
        Code.SHORT_STOP,
        "A stop is a single letter or digit.",
        "Nearly every answer has it in some word, and ends there.",
        "FROM llama3.2:3b\nPARAMETER stop Q\n",
        'FROM llama3.2:3b\nPARAMETER stop "Q:"\n',
        check=_short_stop,
    ),
    Rule(
        Code.QUOTED_NUMBER,
        "A number or a flag stands in quotes.",
        "They mean nothing there.",
        'FROM llama3.2:3b\nPARAMETER temperature "0.7"\n',
        "FROM llama3.2:3b\nPARAMETER temperature 0.7\n",
        Mending.SAME_MODEL,
        _quoted_number,
    ),
)
