"""A graph of steps as text: a tree for people, dot and mermaid for pictures, JSON for programs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Node:
    """A step as it is shown."""

    name: str
    about: str  # what it is about: a file, a model, a type; may be empty
    state: str  # "cached", "stale", "waiting", or empty where nobody knows
    reason: str
    inputs: tuple[str, ...]  # names of nodes before it
    output: str = ""  # a digest, if it is known


def as_tree(title: str, nodes: Sequence[Node]) -> Iterator[tuple[str, Node | None]]:
    """The lines of a tree whose roots nothing needs; each with the node that it is about.

    A node that several others need stands where it is met first.
    """
    by_name = {node.name: node for node in nodes}
    needed = {name for node in nodes for name in node.inputs}
    roots = [node for node in nodes if node.name not in needed]
    shown: set[str] = set()
    yield title, None
    for root in roots:
        yield from _branch(root, "", by_name, shown, last=root is roots[-1])


def _branch(
    node: Node, indent: str, by_name: Mapping[str, Node], shown: set[str], *, last: bool
) -> Iterator[tuple[str, Node]]:
    shown.add(node.name)
    yield f"{indent}{'└─ ' if last else '├─ '}", node
    below = [by_name[name] for name in node.inputs if name in by_name and name not in shown]
    shown.update(each.name for each in below)
    for each in below:
        more = indent + ("   " if last else "│  ")
        yield from _branch(each, more, by_name, shown, last=each is below[-1])


_COLOURS = {"cached": "#9be29b", "stale": "#ffd27f", "waiting": "#dddddd", "": "#ffffff"}


def as_dot(title: str, nodes: Sequence[Node]) -> str:
    """The graph for graphviz."""
    lines = [f"digraph {_quoted(title)} {{", "  rankdir=LR;", "  node [shape=box, style=filled];"]
    for node in nodes:
        label = f"{node.name}\\n{node.about}" if node.about else node.name
        colour = _COLOURS[node.state]
        lines.append(
            f"  {_quoted(node.name)} [label={_quoted(label)}, fillcolor={_quoted(colour)}];"
        )
    for node in nodes:
        lines += (f"  {_quoted(name)} -> {_quoted(node.name)};" for name in node.inputs)
    return "\n".join([*lines, "}"]) + "\n"


def as_mermaid(nodes: Sequence[Node]) -> str:
    """The graph for mermaid."""
    numbers = {node.name: f"s{number}" for number, node in enumerate(nodes)}
    lines = ["graph LR"]
    for node in nodes:
        label = f"{node.name}<br>{node.about}" if node.about else node.name
        lines.append(f"  {numbers[node.name]}[{_mermaid(label)}]{_class(node)}")
    for node in nodes:
        lines += (f"  {numbers[name]} --> {numbers[node.name]}" for name in node.inputs)
    lines += (f"  classDef {state} fill:{_COLOURS[state]}" for state in _COLOURS if state)
    return "\n".join(lines) + "\n"


def as_json(title: str, nodes: Sequence[Node]) -> str:
    """The graph as JSON."""
    rows = [
        {
            "name": node.name,
            "about": node.about,
            "state": node.state or None,
            "reason": node.reason or None,
            "inputs": list(node.inputs),
            "output": node.output or None,
        }
        for node in nodes
    ]
    return json.dumps({"of": title, "steps": rows}, indent=2, ensure_ascii=False) + "\n"


def _class(node: Node) -> str:
    return f":::{node.state}" if node.state else ""


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'


def _mermaid(text: str) -> str:
    return '"' + text.replace('"', "#quot;") + '"'
