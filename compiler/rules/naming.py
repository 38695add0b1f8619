"""Rules about what FROM, ADAPTER and DRAFT name."""

import re
from collections.abc import Iterator

from mbuild.compiler.diagnostic import Code, Diagnostic, Label
from mbuild.compiler.rules.rule import Base, Rule, Subject, found
from mbuild.compiler.syntax import Value

_PATH_START = (".", "/", "\\", "~")
_WEIGHTS = (".gguf", ".safetensors", ".bin", ".pth")
_BLOB = re.compile(r"(?:^|[/\\])blobs[/\\]sha256[-:][0-9a-f]{64}$")
_HOME = re.compile(r"(?i:/home/|/users/|/root/|~|[a-z]:[/\\]users[/\\])")
_PLACEHOLDER = re.compile(
    r"<[\w ./:-]+>|(?<!\$)\{\{?[\w ]+\}\}?|(?i:/?path/to/|your[-_ ](?:model|base|file))|\.\.\.+"
)
_ADDRESS = re.compile(r"(?i:https?://)")


def _paths(subject: Subject) -> Iterator[Value]:
    """What names something that may be a path, without what flags and stages belong to it."""
    stages: set[str] = set()
    for value, name in subject.parts.sources:
        if value.text and value.text not in stages:
            yield value
        if name is not None:
            stages.add(name.text)
    for node in subject.parts.of("adapter", "draft"):
        if node.value.text:
            yield node.value


def _models(subject: Subject) -> Iterator[Value]:
    """The values of FROM that name a model, and nothing on this disk."""
    stages: set[str] = set()
    for value, name in subject.parts.sources:
        text = value.text
        if text and text not in stages and not _looks_like_a_path(text) and "${" not in text:
            yield value
        if name is not None:
            stages.add(name.text)


def _looks_like_a_path(text: str) -> bool:
    return (
        text.startswith(_PATH_START)
        or text.lower().endswith(_WEIGHTS)
        or "\\" in text
        or "://" in text
        or "#" in text
        or any(each in text for each in "<>'\"“” ")
    )


def _moving_tag(subject: Subject) -> Iterator[Diagnostic]:
    for value in _models(subject):
        name, colon, tag = value.text.rpartition("/")[2].partition(":")
        if (colon and tag.lower() != "latest") or "@" in name or subject.world.is_there(value.text):
            continue
        message = f"{value.text} stands for another model whenever its publisher says so"
        hint = "name a tag, as in llama3.2:3b; the model is then the same tomorrow"
        yield from found(Code.MOVING_TAG, message, value.span, hint)


def _own_places(subject: Subject) -> Iterator[Diagnostic]:
    for value in _paths(subject):
        text = value.text
        if _BLOB.search(text):
            yield from found(
                Code.BLOB_PATH,
                "a blob of this machine's store, which no other has under this path",
                value.span,
                "name the model that it belongs to",
            )
        elif _PLACEHOLDER.search(text) and not subject.world.is_there(text):
            message = "this looks like a gap that was left to be filled"
            yield from found(Code.PLACEHOLDER, message, value.span)
        elif _HOME.match(text):
            yield from found(
                Code.HOME_PATH,
                "a path in a home folder, which is not there on another machine",
                value.span,
                "a path that begins with ./ is seen from the Modelfile",
            )


def _backslashes(subject: Subject) -> Iterator[Diagnostic]:
    for value in _paths(subject):
        text = value.text
        if "\\" in text and not re.match(r"[A-Za-z]:", text) and not subject.world.is_there(text):
            message = "a path with backslashes is one on Windows only"
            yield from found(Code.BACKSLASH_PATH, message, value.span, _slashed(text))


def _slashed(text: str) -> str:
    return "write " + re.sub(r"\\+", "/", text)


def _web_address(subject: Subject) -> Iterator[Diagnostic]:
    for value in _paths(subject):
        text = value.text
        if not _ADDRESS.match(text):
            continue
        if not text.lower().endswith(_WEIGHTS) and text.count("/") <= 4 and "/blob/" not in text:
            continue  # A registry's address before a name is read as one.
        hint = "download it and name the file"
        repository = re.match(r"(?i:https?://)huggingface\.co/([^/\s]+/[^/\s]+)", text)
        if repository:
            hint += f", or write FROM hf.co/{repository[1]}"
        yield from found(Code.WEB_ADDRESS, "a web page's address names no model", value.span, hint)


def _missing_file(subject: Subject) -> Iterator[Diagnostic]:
    for value in _paths(subject):
        text = value.text
        is_path = text.startswith(("./", "../", "/", "~")) or text.lower().endswith(_WEIGHTS)
        if not is_path or "${" in text or _BLOB.search(text) or _PLACEHOLDER.search(text):
            continue
        if _ADDRESS.match(text) or "#" in text or subject.world.is_there(text):
            continue
        if text.startswith(("pypi://", "hf.co/", "huggingface.co/")):
            continue
        message = "there is no such file here"
        yield from found(Code.MISSING_FILE, message, value.span, "a build needs it")


def _repeated_source(subject: Subject) -> Iterator[Diagnostic]:
    if any(name for _, name in subject.parts.sources):
        return
    first: dict[str, Value] = {}
    for value, _ in subject.parts.sources:
        earlier = first.setdefault(value.text, value)
        if earlier is not value and value.text:
            label = Label(earlier.span, "it stands here already")
            message = f"FROM {value.text} stands twice"
            yield from found(
                Code.REPEATED_SOURCE, message, value.span, "leave one out", labels=(label,)
            )


def several_models(subject: Subject) -> Iterator[Diagnostic]:
    """What a build says of several models, as far as a text and a disk tell which are models."""
    if any(name for _, name in subject.parts.sources):
        return
    models = [value for value in _models(subject) if not subject.world.is_there(value.text)]
    if not models:
        return
    last = models[-1]
    for value, _ in subject.parts.sources:
        if value is last or value.text == last.text:
            continue
        label = Label(last.span, "only this counts")
        message = f"FROM {value.text} has no effect"
        hint = "of several models the last one wins, and files beside a model are not used"
        yield from found(Code.UNUSED_SOURCE, message, value.span, hint, labels=(label,))


def _license_missing(subject: Subject) -> Iterator[Diagnostic]:
    if subject.parts.of("license"):
        return
    unset = [node for node in subject.parts.of("unset") if node.value.text.upper() == "LICENSE"]
    for value, _ in subject.parts.sources:
        is_file = subject.world.is_there(value.text)
        base = subject.world.base(value.text) if is_file or unset else None
        if base is None or not base.license:
            continue
        if unset:
            message = "this takes the license of the base model out"
            yield from found(Code.LICENSE_MISSING, message, unset[-1].span, _LICENSE)
        else:
            message = "these weights have a license, and the model will not say so"
            yield from found(Code.LICENSE_MISSING, message, value.span, _LICENSE)
        return


_LICENSE = "LICENSE --file=LICENSE gives the model its text"


RULES = (
    Rule(
        Code.MOVING_TAG,
        "FROM names a model without a tag, or with the tag latest.",
        "Both stand for what the publisher likes best at the time, so the same Modelfile builds"
        " another model next month.",
        "FROM llama3.2\n",
        "FROM llama3.2:3b\n",
        check=_moving_tag,
    ),
    Rule(
        Code.HOME_PATH,
        "A path leads into somebody's home folder.",
        "Nobody else has the file there, and neither does a build server.",
        "FROM /home/ann/models/parrot.gguf\n",
        "FROM ./parrot.gguf\n",
        check=_own_places,
    ),
    Rule(
        Code.BLOB_PATH,
        "FROM names a file in the store of a machine.",
        "As `ollama show --modelfile` prints it. The path holds as long as that store does, and"
        " on that machine only.",
        f"FROM /srv/models/blobs/sha256-{'0123456789abcdef' * 4}\n",
        "FROM llama3.2:3b\n",
    ),
    Rule(
        Code.BACKSLASH_PATH,
        "A path has backslashes.",
        "They divide folders on Windows only. A path with slashes works there, too.",
        "FROM .\\models\\parrot.gguf\n",
        "FROM ./models/parrot.gguf\n",
        check=_backslashes,
    ),
    Rule(
        Code.WEB_ADDRESS,
        "FROM names a file or a page of the web.",
        "It is read as the name of a model, which it is not.",
        "FROM https://huggingface.co/ann/parrot-GGUF/resolve/main/parrot.gguf\n",
        "FROM hf.co/ann/parrot-GGUF:Q4_K_M\n",
        check=_web_address,
    ),
    Rule(
        Code.MISSING_FILE,
        "A file that FROM, ADAPTER or DRAFT names is not there.",
        "A build would refuse it. It is but a note, as weights are seldom kept beside a Modelfile"
        " that is only being checked.",
        "FROM ./parrot.gguf\n",
        "FROM llama3.2:3b\n",
        check=_missing_file,
    ),
    Rule(
        Code.PLACEHOLDER,
        "A name looks like a gap that was left to be filled.",
        "Such as <model> or /path/to/model.gguf in an example.",
        "FROM /path/to/model.gguf\n",
        "FROM ./model.gguf\n",
    ),
    Rule(
        Code.REPEATED_SOURCE,
        "The same FROM stands twice.",
        "Once is enough; perhaps another file was meant, such as a projector.",
        "FROM llama3.2:3b\nFROM llama3.2:3b\n",
        "FROM llama3.2:3b\n",
        check=_repeated_source,
    ),
    Rule(
        Code.LICENSE_MISSING,
        "The weights or the base model have a license, and this model will not tell it.",
        "A license mostly asks to be passed on. What FROM a model brings is kept, but weights tell"
        " only its name, and UNSET LICENSE takes it out.",
        "FROM llama3.2:3b\nUNSET LICENSE\n",
        "FROM llama3.2:3b\n",
        base=Base(license=True),
        check=_license_missing,
    ),
)
