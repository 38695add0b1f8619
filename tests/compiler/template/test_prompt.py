from collections.abc import Sequence
from datetime import date

import pytest

from mbuild.compiler.template import wire
from mbuild.compiler.template.chat import Message
from mbuild.compiler.template.failure import RenderFailed
from mbuild.compiler.template.prompt import (
    Request,
    Think,
    chat_template,
    collate,
    generation,
    render,
)
from mbuild.compiler.template.provenance import TEMPLATE, Piece, Traced
from mbuild.compiler.template.running import Limits

TODAY = date(2024, 3, 1)
LEGACY = chat_template("[{{.System}}|{{.Prompt}}]{{.Response}}<e>")


def said(*turns: str) -> tuple[Message, ...]:
    """Messages from ``"user Hi"`` and the like."""
    parts = (turn.partition(" ") for turn in turns)
    return tuple(Message(role, content) for role, _, content in parts)


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ([], "[|]"),
        (["user U"], "[|U]"),
        (["user U", "user V"], "[|U\n\nV]"),
        (["user U", "assistant A"], "[|U]A"),
        (["user U", "assistant A", "assistant B"], "[|U]A\n\nB"),
        (["user U", "assistant A", "user V"], "[|U]A<e>[|V]"),
        (["system S", "user U", "assistant A", "user V"], "[S|U]A<e>[|V]"),
        (["system S", "system T", "user U"], "[S\n\nT|U]"),
        (["user U", "system S", "user V"], "[|U]<e>[S|V]"),
        (["system S", "user U", "assistant A", "system S2", "user V"], "[S|U]A<e>[S2|V]"),
        (["assistant A", "user U"], "[|]A<e>[|U]"),
        (["user U", "tool T", "user V"], "[|V]"),
        (["user U", "assistant ", "user V"], "[|V]"),
        (["user U", "assistant A", "tool T", "assistant B", "user C"], "[|U]B<e>[|C]"),
        (["system S", "tool t", "system S2", "user U"], "[S2|U]"),
    ],
    ids=str,
)
def test_turns_of_a_legacy_template(turns: Sequence[str], expected: str) -> None:
    assert render(LEGACY, Request(said(*turns)), today=TODAY).text == expected


def test_collation_keeps_only_the_content_of_what_it_merges() -> None:
    first = Message("assistant", "a", thinking="t")
    system, messages = collate([*said("system S"), first, Message("assistant", "b", "lost")])
    assert system == "S"
    assert messages == (Message("system", "S"), Message("assistant", "a\n\nb", thinking="t"))


def test_messages_of_tools_are_not_merged() -> None:
    assert collate(said("tool a", "tool b"))[1] == said("tool a", "tool b")


@pytest.mark.parametrize(
    ("think", "expected"),
    [
        (None, "false||false"),
        (False, "false||true"),
        (True, "true|medium|true"),
        ("high", "true|high|true"),
    ],
)
def test_thinking(think: Think, expected: str) -> None:
    template = chat_template("{{.Think}}|{{.ThinkLevel}}|{{.IsThinkSet}}{{.Response}}")
    assert render(template, Request(think=think), today=TODAY).text == expected


def test_a_suffix_needs_a_prompt() -> None:
    template = chat_template("{{if .Suffix}}<{{.Prompt}}>{{.Suffix}}{{else}}{{.Prompt}}{{end}}")
    assert render(template, generation(prompt="p", suffix="s"), today=TODAY).text == "<p>s"
    assert render(template, generation(prompt="", suffix="s"), today=TODAY).text == ""


def test_the_cut_takes_the_else_branch_with_it() -> None:
    template = chat_template("{{.Prompt}}{{if .Response}}A{{.Response}}{{else}}B{{end}}C")
    assert render(template, Request(said("user U")), today=TODAY).text == "U"


def test_the_last_turn_lacks_the_added_functions_as_in_the_reference() -> None:
    template = chat_template("{{json .Prompt}}{{.Response}}")
    with pytest.raises(RenderFailed, match='"json" is not a defined function'):
        render(template, Request(said("user U")), today=TODAY)


def test_pieces_tell_where_each_text_came_from() -> None:
    template = chat_template("<s>{{.System}}</s>{{range .Messages}}{{.Content}};{{end}}")
    request = Request(
        (
            Message("system", Traced.of("S", "system")),
            Message("user", Traced.of("E", "example")),
            Message("user", Traced.of("U", "user")),
        )
    )
    rendering = render(template, request, today=TODAY)
    assert rendering.pieces == (
        Piece("<s>", TEMPLATE),
        Piece("S", "system"),
        Piece("</s>", TEMPLATE),
        Piece("S", "system"),
        Piece(";", TEMPLATE),
        Piece("E\n\n", "example"),
        Piece("U", "user"),
        Piece(";", TEMPLATE),
    )
    assert "".join(piece.text for piece in rendering.pieces) == rendering.text


def test_what_a_function_made_is_of_no_known_origin() -> None:
    template = chat_template("{{range .Messages}}{{json .Content}}{{print .Content}}{{end}}")
    request = Request((Message("user", Traced.of("U", "user")),))
    pieces = render(template, request, today=TODAY).pieces
    assert pieces == (Piece('"U"', None), Piece("U", "user"))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param({}, "messages: not a list", id="no list"),
        pytest.param(["x"], "messages[0]: not an object", id="no object"),
        pytest.param([{"content": 1}], "messages[0].content: not a text", id="number"),
        pytest.param([{"images": ["?"]}], "messages[0].images[0]: not a base64 text", id="image"),
        pytest.param(
            [{"tool_calls": [{}]}], "messages[0].tool_calls[0].function: missing", id="call"
        ),
        pytest.param(
            [{"tool_calls": [{"function": {"arguments": "{}"}}]}],
            "messages[0].tool_calls[0].function.arguments: not an object",
            id="arguments",
        ),
    ],
)
def test_a_message_of_the_wrong_shape_is_said_where_it_is_wrong(
    value: object, message: str
) -> None:
    with pytest.raises(wire.BadMessage) as caught:
        wire.messages(value)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param([1], "tools[0]: not an object", id="no object"),
        pytest.param(
            [{"function": {"parameters": {"properties": {"x": 1}}}}],
            "tools[0].function.parameters.properties.x: not an object",
            id="property",
        ),
        pytest.param(
            [{"function": {"parameters": {"required": [1]}}}],
            "tools[0].function.parameters.required[0]: not a text",
            id="required",
        ),
    ],
)
def test_a_tool_of_the_wrong_shape_is_said_where_it_is_wrong(value: object, message: str) -> None:
    with pytest.raises(wire.BadMessage) as caught:
        wire.tools(value)
    assert str(caught.value) == message


def test_all_turns_together_are_bounded() -> None:
    turns = said(*["user U", "assistant " + "A" * 100] * 50)
    with pytest.raises(RenderFailed, match="characters of output"):
        render(LEGACY, Request(turns), today=TODAY, limits=Limits(output=1_000))
