"""From modelfile.lark to the tables that the parser runs on: ``python -m mbuild.compiler.grammar``.

Lark builds the LALR automaton and decides which terminals each state may read. Only the result
is needed to parse, and a build must not pay for lark at every start (35 to 60 ms), so it is kept
in a module, `mbuild.compiler.modelfile_tables`. A test makes it again and compares; another holds
the parser that runs on it equal to lark's own.
"""

from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from lark import Lark
from lark.lexer import BasicLexer, ContextualLexer
from lark.parsers.lalr_analysis import Action, Shift
from lark.parsers.lalr_parser import LALR_Parser

T = TypeVar("T")

_HEADER = '''\
"""The automaton of modelfile.lark, as lark built it. Made by `mbuild.compiler.grammar`.

A lexer is one regular expression, whose groups are the terminals that may come next. A state is
a rule to reduce, whatever comes next; or its lexer, and what to do on each terminal or rule: go
to another state, or, for ~n, reduce rule n. A rule is its name and how many symbols it has.
State 0 is the first, and rule "start" the last to reduce.
"""

# ruff: noqa: E501 -- made by a program, one entry a line
# fmt: off
'''


def lark() -> Lark:
    """Lark's own parser of the language, which reads marked text (`mbuild.compiler.parser`)."""
    grammar = files("mbuild.compiler").joinpath("modelfile.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", lexer="contextual", keep_all_tokens=True)


def tables() -> str:
    """The text of `mbuild.compiler.modelfile_tables`."""
    frontend = lark().parser
    automaton, scanner = frontend.parser, frontend.lexer
    assert isinstance(automaton, LALR_Parser), "what parser='lalr' makes"
    assert isinstance(scanner, ContextualLexer), "what lexer='contextual' makes"
    table = automaton._parse_table  # noqa: SLF001 -- lark shows it nowhere else
    # Reducing `start` ends the parse, so nothing goes to the state behind it.
    states = {
        state: {str(symbol): act for symbol, act in sorted(row.items()) if symbol != "start"}
        for state, row in table.states.items()
    }
    return _written(states, table.start_states["start"], scanner)


State = Any
"""Lark's name for a state; it declares another type than it uses."""

Row = Mapping[str, tuple[Action, Any]]
"""What lark does on each symbol: shift to a state, or reduce a rule."""


def _written(states: Mapping[State, Row], start: State, scanner: ContextualLexer) -> str:
    order = _order(states, start)
    rules: list[tuple[str, int]] = []
    patterns: list[str] = []
    rows: list[str] = []
    for state in order:
        row = {
            symbol: order.index(to)
            if action is Shift
            else ~_index(rules, (str(to.origin.name), len(to.expansion)))
            for symbol, (action, to) in states[state].items()
        }
        if len(set(row.values())) == 1 and min(row.values()) < 0:
            rows.append(str(~min(row.values())))
        else:
            rows.append(str((_index(patterns, _pattern(scanner, state)), row)))
    return "\n".join(
        [
            _HEADER,
            f"LEXERS: tuple[str, ...] = {_listed(map(ascii, patterns))}\n",
            f"RULES: tuple[tuple[str, int], ...] = {_listed(map(str, rules))}\n",
            f"STATES: tuple[int | tuple[int, dict[str, int]], ...] = {_listed(rows)}\n",
        ]
    )


def _order(states: Mapping[State, Row], start: State) -> list[State]:
    """The states as they are met from the first; lark's own numbers change with each run."""
    order = [start]
    for state in order:
        for action, to in states[state].values():
            if action is Shift and to not in order:
                order.append(to)
    return order


def _pattern(scanner: ContextualLexer, state: State) -> str:
    """One regular expression for the terminals that may come in *state*, as lark orders them."""
    lexer = scanner.lexers[state]
    assert isinstance(lexer, BasicLexer), "what a contextual lexer is made of"
    return "|".join(f"(?P<{each.name}>{each.pattern.to_regexp()})" for each in lexer.terminals)


def _index(items: list[T], item: T) -> int:
    """Where *item* is in *items*, to which it is added if it is not."""
    if item not in items:
        items.append(item)
    return items.index(item)


def _listed(items: Iterable[str]) -> str:
    return "".join(["(\n", *(f"    {item},\n" for item in items), ")"])


if __name__ == "__main__":
    Path(__file__).with_name("modelfile_tables.py").write_text(tables(), encoding="utf-8")
