"""What was found when a model was checked, and built again, as text."""

import json
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

import click

from mbuild.cli.builds import Build, kind
from mbuild.cli.differences import as_json, format_differences
from mbuild.cli.humanize import size
from mbuild.compiler.diagnostic import visible
from mbuild.compiler.reproduction import Rebuilt
from mbuild.compiler.verification import Checked, Verdict
from mbuild.store.digest import Digest
from mbuild.store.manifest import Layer, Manifest

_ASSUMED = "assumed, since nothing is recorded of it: no build arguments, no options"
_COLOURS = {Verdict.WHOLE: "green", Verdict.DAMAGED: "red", Verdict.MISSING: "red"}


def format_checked(build: Build, checked: Sequence[Checked]) -> str:
    """A line for each blob, and one on all."""
    rows = [
        (
            each.verdict.value,
            kind(each.layer),
            each.layer.digest.short,
            size(each.layer.size),
            visible(each.layer.origin) + _what_is_wrong(each),
        )
        for each in checked
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [_line(row, widths, each.verdict) for row, each in zip(rows, checked, strict=True)]
    return "".join([f"{build.label}   {build.id}\n", *lines, f"{_in_all(checked)}\n"])


def _line(row: Sequence[str], widths: Sequence[int], verdict: Verdict) -> str:
    mark = click.style(row[0].ljust(widths[0]), fg=_COLOURS[verdict])
    cells = [cell.ljust(width) for cell, width in zip(row[1:4], widths[1:], strict=True)]
    return f"  {'   '.join([mark, *cells, row[4]])}".rstrip() + "\n"


def _what_is_wrong(checked: Checked) -> str:
    before = "   " if checked.layer.origin else ""
    if checked.found is not None and checked.found != checked.layer.digest:
        return f"{before}its bytes are those of {checked.found.short}"
    if checked.verdict is Verdict.DAMAGED:
        return f"{before}it has {checked.size} bytes, the manifest says {checked.layer.size}"
    return ""


def _in_all(checked: Sequence[Checked]) -> str:
    wrong = [each for each in checked if each.verdict is not Verdict.WHOLE]
    total = size(sum(each.size for each in checked))
    count = f"{len(checked)} {'file' if len(checked) == 1 else 'files'}"
    if not wrong:
        return f"{count}, {total}: every byte is what it was"
    verb = "is not what it" if len(wrong) == 1 else "are not what they"
    return f"{len(wrong)} of {count} {verb} should be"


def format_rebuilt(build: Build, rebuilt: Rebuilt, *, width: int | None = None) -> str:
    """Whether building again has given the same, and if not, what differs first of all."""
    if rebuilt.manifest is None:
        return click.style("cannot be built again\n", fg="red")
    head = f"built again from Modelfile {build.sources['Modelfile'].short}"
    told = "" if rebuilt.ordered.known else f"  {_ASSUMED}\n"
    if rebuilt.manifest == build.manifest:
        return f"{head}: the same manifest {build.id}\n{told}"
    again = Digest.of(rebuilt.manifest).short
    told += format_differences(rebuilt.differences[:1], width=width)
    if not rebuilt.differences:
        told += f"  {_first_other_layer(build, rebuilt)}\n"
    return click.style(f"{head}: another manifest {again}", fg="red") + f"\n{told}"


def _first_other_layer(build: Build, rebuilt: Rebuilt) -> str:
    """The first layer that is not what it was, where the parts are the same."""
    assert rebuilt.manifest is not None, "the caller has one"
    old, new = (Manifest.decode(data).blobs for data in (build.manifest, rebuilt.manifest))
    for number, (one, other) in enumerate(zip_longest(old, new), 1):
        if one != other:
            shown = [_layer(each) for each in (one, other)]
            return f"layer {number} was {shown[0]}, and is {shown[1]}"
    return "the layers are the same; the manifest is written in another way"


def _layer(layer: Layer | None) -> str:
    if layer is None:
        return "not there"
    origin = f" from {visible(layer.origin)}" if layer.origin else ""
    return f"{kind(layer)} {layer.digest.short}{origin}"


def format_json(build: Build, checked: Iterable[Checked], rebuilt: Rebuilt | None) -> str:
    """The same for a program."""
    told: dict[str, Any] = {
        "name": build.name.short,
        "build": build.number,
        "digest": Digest.of(build.manifest).hex,
        "files": [
            {
                **each.layer.to_json(),
                "verdict": each.verdict.value,
                "found": None if each.found is None else str(each.found),
            }
            for each in checked
        ],
    }
    if rebuilt is not None:
        again = None if rebuilt.manifest is None else Digest.of(rebuilt.manifest).hex
        told["rebuilt"] = {
            "same": rebuilt.manifest == build.manifest,
            "digest": again,
            "assumed": not rebuilt.ordered.known,
            "differences": [as_json(each) for each in rebuilt.differences],
        }
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"
