"""Differences in a few words, in full, and as JSON."""

import json
from collections.abc import Sequence

import click
import pytest

from mbuild.cli.differences import as_json, format_differences, summary
from mbuild.compiler.comparison import (
    Adapters,
    Difference,
    Licenses,
    Messages,
    Parameter,
    Projectors,
    Scaled,
    Setting,
    Text,
    Unknown,
    Weights,
)
from mbuild.store.digest import Digest
from mbuild.store.manifest import Layer, MediaType


def _layer(text: str, media_type: str = MediaType.MODEL) -> Layer:
    return Layer(media_type, Digest.of(text.encode()), 1000, f"{text}.gguf")


A, B = _layer("a"), _layer("b")
HALF, WHOLE = (
    Scaled(_layer("tone", MediaType.ADAPTER), 0.5),
    Scaled(_layer("tone", MediaType.ADAPTER), 1.0),
)
HI, HO = ((("content", text), ("role", "user")) for text in ("hi\nyou", "ho"))


@pytest.mark.parametrize(
    ("differences", "words", "lines"),
    [
        pytest.param(
            [Parameter("temperature", 0.7, 1.0)],
            "temperature 0.7 → 1",
            ["  Parameters", "    temperature      0.7 → 1"],
            id="a parameter",
        ),
        pytest.param(
            [Parameter("stop", ["a"], ["a", "b\n"]), Parameter("top_k", None, 40.0)],
            'stop "a" → "a" "b\\n"; top_k 40 added',
            [
                "  Parameters",
                '    stop             "a" → "a" "b\\n"',
                "    top_k            – → 40",
            ],
            id="lists, and what was not set",
        ),
        pytest.param(
            [Parameter("use_mmap", True, None)],
            "use_mmap true removed",
            ["  Parameters", "    use_mmap         true → –"],
            id="a flag",
        ),
        # What the weights imply of the configuration is not told twice.
        pytest.param(
            [
                Weights("weights", A, B),
                Setting("file_type", "F16", "Q8_0"),
                Setting("embedding_length", 64, 128),
            ],
            "weights ca9781… → 3e23e8…; quantization F16 → Q8_0",
            [
                "  Weights",
                "    - ca978112ca1b   1 KB   a.gguf",
                "    + 3e23e8160039   1 KB   b.gguf",
                "    quantization     F16 → Q8_0",
            ],
            id="weights",
        ),
        pytest.param(
            [Weights("weights", A, Layer(A.media_type, A.digest, A.size, "kid:v2"))],
            "weights: the same bytes, from a.gguf → kid:v2",
            [
                "  Weights",
                "    - ca978112ca1b   1 KB   a.gguf",
                "    + ca978112ca1b   1 KB   kid:v2",
            ],
            id="the same weights from elsewhere",
        ),
        pytest.param(
            [Weights("draft", None, A)],
            "draft added",
            ["  Draft", "    + ca978112ca1b   1 KB   a.gguf"],
            id="a draft",
        ),
        pytest.param(
            [Setting("renderer", "", "qwen"), Setting("capabilities", [], ["vision"])],
            "renderer qwen added; capabilities vision added",
            [
                "  Configuration",
                "    renderer         – → qwen",
                "    capabilities     – → vision",
            ],
            id="configuration",
        ),
        pytest.param(
            [Adapters((WHOLE,), (HALF,))],
            "adapter scale 1 → 0.5",
            [
                "  Adapters",
                f"    - {WHOLE.layer.digest.short}   1 KB   tone.gguf   scale 1",
                f"    + {WHOLE.layer.digest.short}   1 KB   tone.gguf   scale 0.5",
            ],
            id="a scale",
        ),
        pytest.param(
            [Adapters((), (HALF,)), Projectors((A,), ())],
            "1 adapter added; 1 projector removed",
            [
                "  Adapters",
                f"    + {WHOLE.layer.digest.short}   1 KB   tone.gguf   scale 0.5",
                "",
                "  Projectors",
                "    - ca978112ca1b   1 KB   a.gguf",
            ],
            id="files",
        ),
        pytest.param(
            [Text("system", "a b", "a c"), Text("schema", None, "{}")],
            "system: 1 word changed; schema added",
            ["  System", "    a [-b-]{+c+}", "", "  Schema", "    + {}"],
            id="texts",
        ),
        pytest.param(
            [Messages((HI,), (HO, HO))],
            "1 message changed, 1 added",
            ["  Messages", "    - user: hi ⏎ you", "    + user: ho", "    + user: ho"],
            id="messages",
        ),
        pytest.param(
            [Licenses(("\nMIT License\nmore",), ())],
            "1 licence removed",
            ["  Licenses", "    - MIT License   17 B"],
            id="a licence, by its first line",
        ),
        pytest.param(
            [Unknown((), (_layer("x", "application/x"),))],
            "1 other layer added",
            ["  Other layers", "    + application/x   2d711642b726   1 KB   x.gguf"],
            id="a layer of no known type",
        ),
    ],
)
def test_differences_are_told(
    differences: Sequence[Difference], words: str, lines: list[str]
) -> None:
    assert summary(differences) == words
    assert click.unstyle(format_differences(differences)).splitlines() == lines
    json.dumps([as_json(each) for each in differences])


def test_a_long_value_is_cut_in_a_summary() -> None:
    told = summary([Parameter("stop", None, "x" * 100)])
    assert told == f'stop "{"x" * 38}… added'
