"""Made-up Modelfiles, with the additions of the default dialect and without."""

from hypothesis import strategies as st

DROPPED = ["\0", "\x0b", "\x85", "\u00a0", "\u200b", "\u2028", "\ufeff"]
"""Characters that the reference drops."""

PIECES = [
    *("FROM ", "from ", "SYSTEM ", "sYsTeM\t", "TEMPLATE ", "LICENSE ", "SCHEMA ", "REQUIRES "),
    *("PARAMETER ", "PARAMETER  ", "MESSAGE ", "MESSAGE  ", "ADAPTER ", "DRAFT ", "UNSET ", "ARG "),
    *("INCLUDE ", "QUANTIZE ", "num_ctx ", "stop ", "user ", "system ", " AS a", "${A}", "=", "x"),
    *("--append ", "--append", "--file=a ", '--file="a b" ', "--scale=0.7 ", "--scale= ", "--"),
    *("<<END", "<<END\n", "\nEND\n", "END", "\rEND", "<<", "\r\n", "\r", "\n", "\n\n", "#", "# "),
    *('"', '"', '""', '"""', '"""', '""""', '"\n', '"""\n', '" ', '\n"', " ", "\t", "1", "é", "🙂"),
    *DROPPED,
]
nasty = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)

_WORDS = ["from", "template", "system", "adapter", "license", "requires", "renderer", "draft"]
_ADDED = ["arg", "include", "unset", "quantize", "schema"]
_BLANKS = st.sampled_from([" ", " ", "\t", "  ", " \u200b"])
_ENDS = st.sampled_from(["\n", "\n", "\r\n", "\r"])
_TEXTS = st.text(st.sampled_from([*"ab \"'#$\t", "é", "🙂", "\u200b"]), max_size=12)
_FLAGS = st.sampled_from(["", "", "", " --append", " --file=a", '  --file="a b"', "\t--scale=.7"])


@st.composite
def _values(draw: st.DrawFn, *, added: bool) -> str:
    """A value: bare, quoted, on several lines, or between <<END and END."""
    form = draw(st.sampled_from(["", "", '"', '"""', *(["<<END"] if added else [])]))
    if not form:
        return draw(_TEXTS)
    lines = draw(_ENDS).join(draw(st.lists(_TEXTS, min_size=1, max_size=4)))
    behind = draw(st.sampled_from(["", "", "", " ", " x"]))
    if form == "<<END":
        return f"<<END{draw(_ENDS)}{lines}{draw(_ENDS)}END"
    return form + lines + form + behind


@st.composite
def _instructions(draw: st.DrawFn, *, added: bool) -> str:
    """One instruction, most often a correct one."""
    word = draw(st.sampled_from([*_WORDS, "parameter", "message", *(_ADDED if added else [])]))
    head = draw(st.sampled_from([word, word.upper(), word.title()]))
    flags = draw(_FLAGS) if added else ""
    value = draw(_BLANKS) + draw(_values(added=added))
    match word:
        case "parameter":
            return head + draw(_BLANKS) + draw(st.sampled_from(["num_ctx", "stop", "x"])) + value
        case "message":
            return f"{head}{flags} {draw(st.sampled_from(['user', 'system', 'assistant']))}{value}"
        case "from" | "requires" | "renderer" | "draft":
            return head + value
    return head + flags + value


@st.composite
def _files(draw: st.DrawFn, *, added: bool) -> str:
    """Instructions and comments, with blanks and empty lines between them."""
    comments = st.sampled_from(["# c", "#", "#c \t", "# \u200b#"])
    lines = st.one_of(*[_instructions(added=added)] * 3, comments)
    gaps = st.sampled_from(["", "", "", "\n", " \n\n", "\t", "  ", "\r\n\r\n"])
    behind = st.sampled_from(["", "", " ", " \t"])
    statements = [
        draw(gaps) + line + draw(behind) + draw(_ENDS) for line in draw(st.lists(lines, max_size=8))
    ]
    text = "".join(statements)
    return text.rstrip("\r\n") if draw(st.booleans()) else text


plain_files = _files(added=False)
"""Files that mean the same in both dialects, but for what is listed as a departure."""

files = _files(added=True)
"""Files with everything that the default dialect has."""
