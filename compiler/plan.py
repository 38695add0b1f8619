"""What a project's ``mbuild.toml`` asks for: its models, one `Unit` for each that is built.

A unit is a Modelfile with its arguments, and the names that the result gets; each combination of
a matrix is a unit of its own. All mistakes come at once. Opens nothing: whether a Modelfile is
there is found out by who reads it.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, cast

from mbuild.store.name import BadName, Name, split

if TYPE_CHECKING:
    from mbuild.compiler.create import Dialect
    from mbuild.compiler.diagnostic import Diagnostic, Source, Span

Place = tuple[str, ...]
"""Where in the file something is said: ``("models", "kid", "args", "TONE")``."""

_DIALECTS = ("mbuild", "ollama")
KEYS = (
    *("modelfile", "args", "tags", "target", "quantize"),
    *("allow-outside", "dialect", "matrix", "tag"),
)
"""What a model may say."""

_MOST = 10_000  # combinations of one matrix
_USE = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """One model that is built. It may have several names: ``kid:latest``, ``kid:v2``.

    Equal only to itself: two that say the same are still two.
    """

    model: str  # as the project calls it
    names: tuple[Name, ...]  # at least one
    modelfile: str | None  # seen from the project's folder; None: where it usually is
    arguments: Mapping[str, str]
    axes: Mapping[str, str] = field(default_factory=dict)  # Arguments, if the Modelfile has them.
    target: str | None = None
    quantize: str | None = None
    allow_outside: bool = False
    dialect: "Dialect" = "mbuild"

    @property
    def label(self) -> str:
        """Its first name, as people see it."""
        return self.names[0].short

    @property
    def place(self) -> Place:
        """Where the project says it."""
        return "models", self.model


def plan(source: "Source") -> "tuple[tuple[Unit, ...], tuple[Diagnostic, ...]]":
    """The units of the project file *source*, in its order, and every mistake in it.

    If there are mistakes, the units are those that could be understood.
    """
    reader = _Reader(source)
    try:
        # The reader of TOML takes LF and CRLF only, as TOML has it.
        document = tomllib.loads(source.text)
    except tomllib.TOMLDecodeError as error:
        reader.not_toml(str(error))
        return (), tuple(reader.findings)
    except RecursionError:
        reader.not_toml("values are nested too deeply (at line 1, column 1)")
        return (), tuple(reader.findings)
    units = tuple(reader.units(document))
    reader.compare(units)
    return units, tuple(sorted(reader.findings, key=lambda each: each.span.start))


class _Reader:
    """One project file being read."""

    def __init__(self, source: "Source") -> None:
        self._source = source
        self._places: Mapping[Place, tuple[Span, Span]] | None = None
        self.findings: list[Diagnostic] = []

    def units(self, document: Mapping[str, Any]) -> Iterator[Unit]:
        self._known_keys((), document, ("models",))
        models = document.get("models", {})
        if not isinstance(models, dict):
            self._wrong_type(("models",), "a table, one [models.NAME] for each model")
        elif not models and not self.findings:
            hint = "name one with [models.NAME]"
            self._find("BAD_PROJECT_VALUE", ("models",), "the project has no models", hint)
        else:
            for model, table in models.items():
                yield from self._model(model, table)

    def compare(self, units: Iterable[Unit]) -> None:
        """Find the names that two units would get."""
        first: dict[str, Unit] = {}
        for unit in units:
            for name in unit.names:
                # A store may lie on a file system that ignores case.
                other = first.setdefault(str(name).casefold(), unit)
                if other is not unit:
                    self._repeated(name, unit, other)

    def _repeated(self, name: Name, unit: Unit, other: Unit) -> None:
        from mbuild.compiler.diagnostic import Label

        message = f"{name.short} is built twice"
        if unit.model == other.model:
            detail = f"{_combination(other)} and {_combination(unit)} get the same tag"
            hint = "tag = says how each combination is called" if unit.axes else None
            place = (*unit.place, "tag" if "tag" in self._said(unit) else "matrix")
            self._find("REPEATED_MODEL", place, f"{message}: {detail}", hint)
            return
        label = Label(self._span(other.place), "the first one")
        self._find("REPEATED_MODEL", unit.place, message, "give one another tag", (label,))

    def _said(self, unit: Unit) -> set[str]:
        return {path[2] for path in self._all_places() if path[:2] == unit.place and path[2:]}

    def _model(self, model: str, table: object) -> Iterator[Unit]:
        place = ("models", model)
        if not isinstance(table, dict):
            self._wrong_type(place, "a table")
            return
        before = len(self.findings)
        self._known_keys(place, table, KEYS)
        name = self._name(model, place)
        unit = Unit(
            model=model,
            names=(),
            modelfile=self._text(place, table, "modelfile"),
            arguments=self._texts_by_name((*place, "args"), table.get("args", {})),
            target=self._text(place, table, "target"),
            quantize=self._text(place, table, "quantize"),
            allow_outside=self._flag(place, table, "allow-outside"),
            dialect=self._dialect(place, table),
        )
        tags = self._tags(place, table, model)
        axes = self._axes((*place, "matrix"), table.get("matrix"))
        pattern = self._pattern(place, table, axes)
        if axes is not None and "tags" in table:
            hint = 'tag = "..." says how each combination is called'
            self._find("BAD_PROJECT_VALUE", (*place, "tags"), "a matrix makes the tags", hint)
        if name is None or len(self.findings) > before:
            return
        if axes is None:
            names = self._tagged(name, tags, (*place, "tags"))
            yield self._finished(unit, names, {})
            return
        for values in product(*axes.values()):
            combination = dict(zip(axes, values, strict=True))
            tag = _filled(pattern, combination) if pattern else "-".join(values).lower()
            where = (*place, "tag" if pattern else "matrix")
            yield self._finished(unit, self._tagged(name, [tag], where), combination)
            if len(self.findings) > before:
                return  # What is wrong with one tag is wrong with all.

    def _finished(self, unit: Unit, names: tuple[Name, ...], axes: Mapping[str, str]) -> Unit:
        quantize = unit.quantize
        if quantize is not None:
            quantize = self._quantization(_filled(quantize, axes), (*unit.place, "quantize"))
        return Unit(
            unit.model,
            names,
            unit.modelfile,
            unit.arguments,
            axes,
            unit.target,
            quantize,
            unit.allow_outside,
            unit.dialect,
        )

    def _quantization(self, text: str, place: Place) -> str | None:
        # Imported here: few projects ask for it.
        from mbuild.compiler.quantization import Unsupported, wanted

        found = wanted(text)
        if not isinstance(found, Unsupported):
            return found
        self._find("BAD_PROJECT_VALUE", place, found.message, found.hint)
        return None

    def _name(self, text: str, place: Place) -> Name | None:
        try:
            return Name.parse(text)
        except BadName:
            hint = "a name is [HOST/][NAMESPACE/]MODEL[:TAG], of letters, digits and _ . -"
            self._find("BAD_MODEL_NAME", place, f"{text!r} is no model's name", hint)
            return None

    def _tagged(self, name: Name, tags: Iterable[str], place: Place) -> tuple[Name, ...]:
        names = []
        for tag in tags:
            try:
                names.append(Name(name.host, name.namespace, name.model, tag))
            except BadName:
                hint = "a tag has at most 80 letters, digits and _ . -, and begins with no . or -"
                self._find("BAD_MODEL_NAME", place, f"{tag!r} is no tag", hint)
        return tuple(dict.fromkeys(names)) or (name,)

    def _tags(self, place: Place, table: Mapping[str, Any], model: str) -> list[str]:
        """The tags of a model without a matrix."""
        own = split(model).tag
        if own and ("tags" in table or "matrix" in table):
            key = "tags" if "tags" in table else "matrix"
            hint = f"leave the :{own} out of the name, or the {key}"
            message = f"the name has a tag, and {key} gives it others"
            self._find("BAD_PROJECT_VALUE", (*place, key), message, hint)
        tags = table.get("tags", [own or "latest"])
        if _are_texts(tags) and tags:
            return list(tags)
        self._wrong_type((*place, "tags"), 'a list of texts, such as ["latest", "v2"]')
        return []

    def _axes(self, place: Place, table: object) -> dict[str, list[str]] | None:
        """The values of each axis of a matrix."""
        if table is None:
            return None
        if not isinstance(table, dict) or not table:
            self._wrong_type(place, 'a table of lists, such as {TONE = ["kind", "strict"]}')
            return None
        axes: dict[str, list[str]] = {}
        count = 1
        for name, values in table.items():
            texts = [_as_text(value) for value in values] if isinstance(values, list) else []
            known = [text for text in texts if text is not None]
            if not known or len(known) < len(texts):
                self._wrong_type((*place, name), 'a list of values, such as ["kind", "strict"]')
            axes[name] = list(dict.fromkeys(known))
            count *= len(axes[name])
        if count > _MOST:
            message = f"the matrix has {count:,} combinations, and {_MOST:,} are the most"
            self._find("BAD_PROJECT_VALUE", place, message)
            return {}
        return axes

    def _pattern(
        self, place: Place, table: Mapping[str, Any], axes: Mapping[str, Any] | None
    ) -> str | None:
        """What the tags of the combinations are made by."""
        for key in ("tag", "quantize"):
            text = table.get(key)
            unknown = [] if not isinstance(text, str) else _USE.findall(text)
            for name in unknown:
                if name not in (axes or ()):
                    hint = _near(name, axes or ())
                    message = f"{{{name}}} is no key of the matrix"
                    self._find("BAD_PROJECT_VALUE", (*place, key), message, hint)
        if "tag" in table and "matrix" not in table:
            hint = 'tags = ["..."] gives a model its tags'
            self._find("BAD_PROJECT_VALUE", (*place, "tag"), "tag needs a matrix", hint)
        return self._text(place, table, "tag")

    def _dialect(self, place: Place, table: Mapping[str, Any]) -> "Dialect":
        text = self._text(place, table, "dialect") or "mbuild"
        if text not in _DIALECTS:
            hint = _near(text, _DIALECTS) or "the dialects are mbuild and ollama"
            message = f"no dialect is called {text}"
            self._find("BAD_PROJECT_VALUE", (*place, "dialect"), message, hint)
        return cast("Dialect", text)

    def _text(self, place: Place, table: Mapping[str, Any], key: str) -> str | None:
        value = table.get(key)
        if value is None or (isinstance(value, str) and value):
            return value
        self._wrong_type((*place, key), 'a text, such as "..."')
        return None

    def _flag(self, place: Place, table: Mapping[str, Any], key: str) -> bool:
        value = table.get(key, False)
        if not isinstance(value, bool):
            self._wrong_type((*place, key), "true or false")
        return value is True

    def _texts_by_name(self, place: Place, table: object) -> Mapping[str, str]:
        if not isinstance(table, dict):
            self._wrong_type(place, 'a table of values, such as {TONE = "kind"}')
            return {}
        texts = {}
        for name, value in table.items():
            text = _as_text(value)
            if text is None:
                self._wrong_type((*place, name), "a text, a number, true or false")
            else:
                texts[name] = text
        return texts

    def _known_keys(self, place: Place, table: Mapping[str, Any], known: Iterable[str]) -> None:
        for key in table:
            if key not in known:
                hint = _near(key, known) or f"known here: {', '.join(known)}"
                self._find("UNKNOWN_PROJECT_KEY", (*place, key), f"unknown key {key}", hint)

    def _wrong_type(self, place: Place, wanted: str) -> None:
        self._find("BAD_PROJECT_VALUE", place, f"{place[-1]} must be {wanted}")

    def _find(
        self, code: str, place: Place, message: str, hint: str | None = None, labels: Any = ()
    ) -> None:
        from mbuild.compiler.diagnostic import Code, Diagnostic

        self.findings.append(Diagnostic(Code[code], message, self._span(place), hint, labels))

    def not_toml(self, message: str) -> None:
        """Note what the reader of TOML says of the file."""
        from mbuild.compiler.diagnostic import Code, Diagnostic
        from mbuild.compiler.toml_places import position

        reason, span = position(self._source, message)
        self.findings.append(Diagnostic(Code.NOT_TOML, reason, span))

    def _all_places(self) -> "Mapping[Place, tuple[Span, Span]]":
        if self._places is None:
            # Imported here: a project without mistakes needs no places.
            from mbuild.compiler.toml_places import places

            self._places = places(self._source)
        return self._places

    def _span(self, place: Place) -> "Span":
        """The key that *place* is, or the nearest one around it that the file has."""
        return span_of(self._source, self._all_places(), place)


def span_of(source: "Source", places: "Mapping[Place, tuple[Span, Span]]", place: Place) -> "Span":
    """The span of the key *place*, or of the nearest one around it; else the file's start."""
    while place and place not in places:
        place = place[:-1]
    return places[place][0] if place else source.span(0, 0)


def _combination(unit: Unit) -> str:
    return " ".join(f"{name}={value}" for name, value in unit.axes.items()) or unit.model


def _filled(pattern: str, values: Mapping[str, str]) -> str:
    return _USE.sub(lambda use: values.get(use[1], use[0]), pattern)


def _as_text(value: object) -> str | None:
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int() | float():
            return str(value)
    return None


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _near(text: str, known: Iterable[str]) -> str | None:
    from difflib import get_close_matches

    if len(text) > 40:
        return None
    near = get_close_matches(text.lower(), {each.lower(): each for each in known}, n=1)
    return (
        f"did you mean {next(each for each in known if each.lower() == near[0])}?" if near else None
    )


def matching(units: Iterable[Unit], patterns: Iterable[str]) -> tuple[tuple[Unit, ...], list[str]]:
    """The units that the command line names, in the project's order; and names that are none's.

    A pattern is a model, a model with a tag, or either with ``*``, ``?`` and ``[...]``.
    """
    every = tuple(units)
    chosen: set[int] = set()
    unknown = []
    for pattern in patterns:
        found = [at for at, unit in enumerate(every) if _is_named(unit, pattern)]
        chosen.update(found)
        if not found:
            unknown.append(pattern)
    return tuple(unit for at, unit in enumerate(every) if at in chosen), unknown


def _is_named(unit: Unit, pattern: str) -> bool:
    texts = {unit.model, *spoken(unit)}
    if pattern in texts:
        return True
    if not any(mark in pattern for mark in "*?["):
        return False
    from fnmatch import fnmatchcase

    return any(fnmatchcase(text, pattern) for text in texts)


def spoken(unit: Unit) -> Iterator[str]:
    """What a person may call *unit*."""
    bare = unit.model.rpartition(":")[0] if split(unit.model).tag else unit.model
    yield bare
    for name in unit.names:
        yield f"{bare}:{name.tag}"
        yield name.short
