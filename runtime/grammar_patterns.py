"""A regular expression as rules of a grammar, for the text of a JSON string.

Of the language (ECMA 262, as JSON schemas use it) what has no memory: characters, classes,
groups, alternatives, repetitions, and ``^`` and ``$`` at the ends. Where these are missing, any
text may stand before or behind. Each character is written as JSON writes it.
"""

from dataclasses import dataclass

from mbuild.runtime.grammar_rules import (
    LAST,
    MOST,
    Ranges,
    Rules,
    joined,
    literal,
    none_of,
    one_of,
    others,
)

_DEEPEST = 50  # groups
_DIGIT: Ranges = ((0x30, 0x39),)
_WORD = joined(((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)))
_SPACE = joined(
    (
        *((0x09, 0x0D), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A)),
        *((0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000)),
        (0xFEFF, 0xFEFF),
    )
)
_CLASSES = {
    "d": _DIGIT,
    "D": others(_DIGIT),
    "w": _WORD,
    "W": others(_WORD),
    "s": _SPACE,
    "S": others(_SPACE),
}
_CONTROLS = {"t": 0x09, "n": 0x0A, "v": 0x0B, "f": 0x0C, "r": 0x0D, "0": 0x00}
_LINE_ENDS = joined(((0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029)))
_SHORT = {0x08: "b", 0x09: "t", 0x0A: "n", 0x0C: "f", 0x0D: "r", 0x22: '"', 0x5C: "\\"}
_SURROGATES = (0xD800, 0xDFFF)  # No text holds one.
# In a JSON string these stand behind a backslash.
_ESCAPED: Ranges = ((0x00, 0x1F), (0x22, 0x22), (0x5C, 0x5C))

PLAIN = none_of(_ESCAPED)
"""The expression for a character of a JSON string that stands for itself."""


class BadPattern(Exception):
    """A regular expression that is none, or that needs more than a grammar can say."""


def pattern(text: str, rules: Rules) -> str:
    """The expression for what a JSON string with a match of *text* has between its quotes.

    Raises:
        BadPattern: see there.
    """
    return _Parser(text, rules).whole()


def characters(ranges: Ranges, rules: Rules) -> str:
    """The expression for one character of *ranges*, written as in a JSON string."""
    plain, escaped = _parted(ranges)
    found = [one_of(plain)] if plain else []
    found += [literal(_json(point)) for low, high in escaped for point in range(low, high + 1)]
    if not found:
        raise BadPattern("a class that holds no character")
    return found[0] if len(found) == 1 else rules.add("char", " | ".join(found))


def _parted(ranges: Ranges) -> tuple[Ranges, Ranges]:
    """What stands for itself in a JSON string, and what does not."""
    missing = others(ranges)
    plain = others(joined((*missing, *_ESCAPED, _SURROGATES)))
    escaped = others(joined((*missing, *others(_ESCAPED))))
    return plain, escaped


def _json(point: int) -> str:
    return f"\\{_SHORT[point]}" if point in _SHORT else f"\\u{point:04x}"


@dataclass(frozen=True, slots=True)
class _Times:
    least: int
    most: int | None


class _Parser:
    """Reads one expression from left to right."""

    def __init__(self, text: str, rules: Rules) -> None:
        self._text = text
        self._rules = rules
        self._at = 0
        self._depth = 0

    def whole(self) -> str:
        found = [self._anchored()]
        while self._took("|"):
            found.append(self._anchored())
        if self._at < len(self._text):
            raise BadPattern(f"unbalanced {self._text[self._at]} in /{self._text}/")
        return self._rules.union("pattern", found)

    def _anchored(self) -> str:
        """An alternative of the whole, which may be anchored at its ends."""
        anything = f"{self._rules.add('char', characters(((0, LAST),), self._rules))}*"
        before = '""' if self._took("^") else anything
        middle = self._sequence()
        behind = '""' if self._took("$") else anything
        return self._rules.add("match", f"{before} {middle} {behind}")

    def _alternatives(self) -> str:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise BadPattern("groups that are nested too deep")
        found = [self._sequence()]
        while self._took("|"):
            found.append(self._sequence())
        self._depth -= 1
        return self._rules.union("group", found)

    def _sequence(self) -> str:
        found = []
        while self._at < len(self._text) and self._text[self._at] not in "|)$":
            found.append(self._repeated(self._item()))
        return self._rules.add("sequence", " ".join(found)) if found else '""'

    def _item(self) -> str:
        character = self._next()
        if character == "(":
            return self._group()
        if character == "[":
            return self._one(self._class())
        if character == ".":
            return self._one(others(_LINE_ENDS))
        if character == "\\":
            return self._one(self._escape())
        if character in "*+?":
            raise BadPattern(f"nothing to repeat before {character} in /{self._text}/")
        if character == "^":
            raise BadPattern("^ where the text has begun already")
        return self._one(((ord(character), ord(character)),))

    def _one(self, ranges: Ranges) -> str:
        return characters(ranges, self._rules)

    def _group(self) -> str:
        if self._took("?"):
            self._name_of_group()
        found = self._alternatives()
        if not self._took(")"):
            if self._text[self._at : self._at + 1] == "$":
                raise BadPattern("$ where the text may go on")
            raise BadPattern(f"a group without end in /{self._text}/")
        return found

    def _name_of_group(self) -> None:
        if self._took(":"):
            return
        rest = self._text[self._at :]
        if not rest.startswith("<") or rest[1:2] in ("=", "!") or ">" not in rest:
            raise BadPattern(f"(?{rest[:2]} looks around, which a grammar cannot")
        self._at += rest.index(">") + 1

    def _repeated(self, item: str) -> str:
        times = self._times()
        if times is None:
            return item
        if times.most is not None and times.most < times.least:
            raise BadPattern(f"a repetition of {times.least} to {times.most}")
        if times.least > MOST:
            raise BadPattern(f"a repetition of {times.least}")
        self._took("?")  # What is matched is the same, greedy or not.
        name = self._rules.add("item", item)
        return self._rules.add("repeated", self._rules.repeated(name, times.least, times.most))

    def _times(self) -> _Times | None:
        if self._took("*"):
            return _Times(0, None)
        if self._took("+"):
            return _Times(1, None)
        if self._took("?"):
            return _Times(0, 1)
        return self._braces()

    def _braces(self) -> _Times | None:
        end = self._text.find("}", self._at)
        if self._text[self._at : self._at + 1] != "{" or end < 0:
            return None
        least, comma, most = self._text[self._at + 1 : end].partition(",")
        if not _is_count(least) or (most and not _is_count(most)):
            return None  # Then it is text.
        self._at = end + 1
        if not comma:
            return _Times(int(least), int(least))
        return _Times(int(least), int(most) if most else None)

    def _class(self) -> Ranges:
        inverted = self._took("^")
        found: list[tuple[int, int]] = []
        while not self._took("]"):
            low = self._member()
            if self._text[self._at : self._at + 1] == "-" and self._text[self._at + 1 :][:1] != "]":
                self._next()
                high = self._member()
                found.append(_span(low, high))
            else:
                found += low
        ranges = joined(found)
        return others(ranges) if inverted else ranges

    def _member(self) -> Ranges:
        character = self._next()
        if character == "\\":
            if self._took("b"):
                return ((0x08, 0x08),)
            return self._escape()
        return ((ord(character), ord(character)),)

    def _escape(self) -> Ranges:
        character = self._next()
        if character in _CLASSES:
            return _CLASSES[character]
        if character in _CONTROLS:
            point = _CONTROLS[character]
        elif character in "xu":
            point = self._hexadecimal(2 if character == "x" else 4)
        elif character.isalnum():
            raise BadPattern(f"\\{character} cannot be said in a grammar")
        else:
            point = ord(character)
        return ((point, point),)

    def _hexadecimal(self, count: int) -> int:
        digits = "".join(self._next() for _ in range(count))
        try:
            return int(digits, 16)
        except ValueError:
            raise BadPattern(f"{digits} is no number of a character") from None

    def _next(self) -> str:
        if self._at >= len(self._text):
            raise BadPattern(f"/{self._text}/ ends too soon")
        self._at += 1
        return self._text[self._at - 1]

    def _took(self, character: str) -> bool:
        taken = self._text[self._at : self._at + 1] == character
        self._at += taken
        return taken


def _span(low: Ranges, high: Ranges) -> tuple[int, int]:
    if len(low) > 1 or len(high) > 1 or low[0][0] != low[0][1] or high[0][0] != high[0][1]:
        raise BadPattern("a range of classes")
    if low[0][0] > high[0][0]:
        raise BadPattern("a range that ends before it begins")
    return low[0][0], high[0][0]


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10
