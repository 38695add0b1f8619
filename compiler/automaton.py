"""The automaton of modelfile.lark, run: marked text to statements and their tokens.

Lark builds the automaton (`mbuild.compiler.grammar`). It is run here and not by lark because
importing lark costs more than all else that a small build does. A test holds both equal.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from mbuild.compiler.modelfile_tables import LEXERS, RULES, STATES


class Token(NamedTuple):
    """A stretch of the text that a terminal of the grammar matched."""

    terminal: str
    start: int
    end: int


def phrases(text: str) -> Iterator[tuple[str, tuple[Token, ...]]]:
    """The statements of marked *text*: the name of the rule, and its tokens.

    This is how an LALR automaton runs: a token is read with the lexer of the current state, and
    shifted once every rule that it completes has been reduced.
    """
    states = [0]
    found: list[tuple[Token, ...]] = []  # The tokens of each symbol on the stack.
    token: Token | None = None
    at = 0
    while True:
        state = STATES[states[-1]]
        if isinstance(state, int):
            action = ~state
        else:
            if token is None:
                token = _token(text, at, state[0])
            action = state[1][token.terminal]
        if action >= 0:
            assert token is not None, "only a token is shifted"
            states.append(action)
            found.append((token,))
            at, token = token.end, None
            continue
        rule, size = RULES[~action]
        if rule == "start":
            return
        tokens = tuple(token for each in found[-size:] for token in each)
        del states[-size:], found[-size:]
        if not rule.startswith("_"):
            yield rule, tokens
            tokens = ()
        goto = STATES[states[-1]]
        assert not isinstance(goto, int), "a state before a symbol waits for it"
        states.append(goto[1][rule])
        found.append(tokens if rule in _INLINED else ())


_INLINED = ("_head", "_value", "_flagged")


def _token(text: str, at: int, lexer: int) -> Token:
    if at == len(text):
        return Token("$END", at, at)
    match = _lexer(lexer).match(text, at)
    assert match is not None, "every text is a sentence"
    assert match.lastgroup is not None, "each terminal is a group"
    return Token(match.lastgroup, at, match.end())


@cache
def _lexer(number: int) -> re.Pattern[str]:
    return re.compile(LEXERS[number])
