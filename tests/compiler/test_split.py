"""Split GGUFs: the parts become one layer, which is the same model."""

import os
import time
from collections.abc import Callable
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import pytest
from gguf_files import UINT16, As, TensorData, split_gguf, tiny_llama, write_gguf

from mbuild.compiler import gguf, split
from mbuild.compiler.create import Order, create
from mbuild.compiler.diagnostic import Code
from mbuild.compiler.progress import Progress, Status
from mbuild.store.digest import Digest
from mbuild.store.linking import CannotLink
from mbuild.store.manifest import Manifest, MediaType
from mbuild.store.name import Name
from mbuild.store.store import Store


class Place:
    """A folder with files, a store whose clock is ahead, and what the last build found."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "work"
        self.folder.mkdir()
        self.store = Store(folder / "store", clock=lambda: time.time_ns() + 60 * 10**9)
        self.codes: list[Code] = []
        self.messages: list[str] = []
        self.said: set[str] = set()

    def create(
        self, text: str, name: str = "kid", *, link: Literal["auto", "always"] = "auto"
    ) -> Manifest | None:
        order = Order(Name.parse(name), "Modelfile", text.encode(), str(self.folder), link=link)
        self.said = set()
        data, findings = create(order, self.store, self._tell)
        self.codes = [finding.code for finding in findings]
        self.messages = [finding.message for finding in findings]
        return None if data is None else Manifest.decode(data)

    def _tell(self, news: Status | Progress) -> None:
        self.said.add(news.text if isinstance(news, Status) else news.label)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def parts(place: Place) -> list[Path]:
    """A model in three parts, in the folder ``big`` beside the Modelfile."""
    folder = place.folder / "big"
    folder.mkdir()
    return split_gguf(tiny_llama(place.folder / "whole.gguf"), folder, 3)


def _layer(manifest: Manifest | None) -> tuple[str, str, Digest]:
    assert manifest is not None
    (layer,) = (each for each in manifest.layers if each.media_type != MediaType.PARAMS)
    return layer.media_type, layer.origin, layer.digest


FORMS = pytest.mark.parametrize(
    "text",
    [
        pytest.param("FROM big/model-00001-of-00003.gguf", id="the first part"),
        pytest.param("FROM big/model-00003-of-00003.gguf", id="the last part"),
        pytest.param("FROM big", id="the folder"),
        pytest.param(
            "FROM big/model-00002-of-00003.gguf\n"
            "FROM big/model-00001-of-00003.gguf\n"
            "FROM big/model-00003-of-00003.gguf",
            id="all parts, in any order",
        ),
    ],
)


@FORMS
def test_what_was_joined_is_built_again_to_the_byte(
    place: Place, parts: list[Path], tmp_path: Path, text: str
) -> None:
    from mbuild.compiler.reproduction import rebuild

    assert place.create(text) is not None
    for part in parts:
        part.unlink()
    revision = place.store.revisions(Name.parse("kid"))[-1]
    again = rebuild(revision, place.store, str(tmp_path / "again"), tell=lambda _: None)
    assert again.manifest == revision.manifest


@FORMS
def test_parts_become_one_layer(place: Place, parts: list[Path], text: str) -> None:
    media_type, origin, digest = _layer(place.create(text))
    assert (media_type, origin) == (MediaType.MODEL, "model.gguf")
    whole, joined = (
        gguf.read(place.folder / "whole.gguf"),
        gguf.read(place.store.blobs.path(digest)),
    )
    assert joined.metadata == whole.metadata
    assert joined.tensors == whole.tensors
    assert _data(Path(place.store.blobs.path(digest))) == _data(place.folder / "whole.gguf")


def _data(path: Path) -> bytes:
    return path.read_bytes()[gguf.read(path).data :]


@pytest.mark.parametrize("count", [2, 7, 12, 13])  # There are twelve tensors.
def test_any_number_of_parts_makes_the_same_whole(place: Place, count: int) -> None:
    whole = tiny_llama(place.folder / "whole.gguf")
    split_gguf(whole, place.folder, count)
    digest = _layer(place.create(f"FROM model-00002-of-{count:05}.gguf"))[2]
    joined = Path(place.store.blobs.path(digest))
    assert gguf.read(joined).tensors == gguf.read(whole).tensors
    assert joined.read_bytes() == whole.read_bytes()


def test_a_model_is_counted_once(place: Place, parts: list[Path]) -> None:
    manifest = place.create("FROM big")
    assert manifest is not None
    assert manifest.config is not None
    config = place.store.blobs.read(manifest.config.digest).decode()
    whole = place.create("FROM whole.gguf", "other")
    assert whole is not None
    assert whole.config is not None
    assert config == place.store.blobs.read(whole.config.digest).decode()


def test_parts_of_two_models_are_told_apart(place: Place, parts: list[Path]) -> None:
    split_gguf(tiny_llama(place.folder / "b.gguf", seed=1), place.folder / "big", 2, name="b")
    manifest = place.create("FROM big")
    assert manifest is not None
    assert [layer.origin for layer in manifest.layers] == ["b.gguf", "model.gguf"]


def test_an_included_file_may_not_name_parts_elsewhere(
    place: Place, parts: list[Path], tmp_path: Path
) -> None:
    parts[1].rename(tmp_path / "outside.gguf")
    parts[1].symlink_to(tmp_path / "outside.gguf")
    (place.folder / "base.mf").write_text("FROM big/model-00001-of-00003.gguf\n")
    assert place.create("INCLUDE base.mf") is None
    assert place.codes == [Code.OUTSIDE_FOLDER]


def test_parts_cannot_be_linked(place: Place, parts: list[Path]) -> None:
    with pytest.raises(CannotLink, match="the parts become one blob"):
        place.create("FROM big", link="always")


def test_a_name_like_that_of_a_part_makes_none(place: Place) -> None:
    tiny_llama(place.folder / "model-00001-of-00002.gguf")
    assert _layer(place.create("FROM model-00001-of-00002.gguf"))[1] == "model-00001-of-00002.gguf"


def test_parts_that_did_not_change_are_not_read_again(place: Place, parts: list[Path]) -> None:
    first = place.create("FROM big")
    digest = split.joined(str(parts[0]), place.store)
    assert digest == _layer(first)[2]
    assert "joining 3 parts of model.gguf" in place.said
    assert place.create("FROM big\nSYSTEM short") is not None
    assert "joining 3 parts of model.gguf" not in place.said
    assert place.create("FROM big\nSYSTEM short") is not None
    assert "parsing GGUF" not in place.said  # Recognised as a whole, by its record.


def test_a_part_that_changed_is_noticed(place: Place, parts: list[Path]) -> None:
    first = place.create("FROM big")
    other = tiny_llama(place.folder / "other.gguf", seed=5)
    split_gguf(other, place.folder / "big", 3)
    assert split.joined(str(parts[0]), place.store) is None
    assert _layer(place.create("FROM big"))[2] != _layer(first)[2]


@pytest.mark.parametrize("text", ["FROM big", "FROM big/model-00001-of-00003.gguf"])
def test_a_part_that_is_missing_is_named(place: Place, parts: list[Path], text: str) -> None:
    parts[1].unlink()
    assert place.create(text) is None
    assert place.codes == [Code.BAD_SOURCE]
    assert f"no file {parts[1]}: 2 of 3 parts of the split GGUF are there" in place.messages[0]


def _said(path: Path, **changes: object) -> Path:
    said = {"split.no": 1, "split.count": 3} | changes
    pairs = {key: As(UINT16, value) for key, value in said.items() if value is not None}
    return write_gguf(path, pairs)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        pytest.param(
            lambda path: _said(path, **{"split.count": 4}),
            "there are 4 parts, its name 3",
            id="count",
        ),
        pytest.param(
            lambda path: _said(path, **{"split.no": 2}), "says part 3, its name 2", id="number"
        ),
        pytest.param(
            lambda path: _said(path, **{"split.no": None}),
            "does not say which part",
            id="no number",
        ),
        pytest.param(_said, "tensors, the parts have 8", id="tensors that are missing"),
        pytest.param(lambda path: write_gguf(path, {}), "there are 1 parts", id="no part"),
        pytest.param(
            lambda path: path.write_bytes(b"GGUF"), "it ends inside the version", id="cut"
        ),
        pytest.param(lambda path: os.mkfifo(path), "is a named pipe, not a file", id="a pipe"),
    ],
)
def test_parts_that_make_no_whole(
    place: Place, parts: list[Path], harm: Callable[[Path], object], reason: str
) -> None:
    parts[1].unlink()
    harm(parts[1])
    assert place.create("FROM big/model-00001-of-00003.gguf") is None
    assert place.codes == [Code.BAD_SOURCE]
    assert reason in place.messages[0]


def test_a_tensor_in_two_parts(place: Place, parts: list[Path]) -> None:
    for number, part in enumerate(parts):
        said = {"split.no": number, "split.count": 3, "split.tensors.count": 3}
        tensors = [TensorData("t", (8,), bytes(32))]
        write_gguf(part, {"general.architecture": "test", **said}, tensors)
    assert place.create("FROM big") is None
    assert "the same tensor is in two parts" in place.messages[0]


def test_what_only_the_parts_together_say_is_refused_too(place: Place, parts: list[Path]) -> None:
    def part(number: int, *tensors: TensorData, **said: object) -> None:
        keys = {"split.no": number, "split.count": 2, **said}
        write_gguf(place.folder / f"x-{number + 1:05}-of-00002.gguf", keys, tensors)

    part(0, **{"general.architecture": "test", "tokenizer.ggml.tokens": ["a", "b", "c"]})
    part(1, TensorData("token_embd.weight", (8, 2), bytes(64)))
    with pytest.raises(
        gguf.BadGguf, match=r"x-00001-of-00002\.gguf: token_embd\.weight has 2 rows"
    ):
        place.create("FROM x-00001-of-00002.gguf")
    assert not list(Path(place.store.root, "blobs").iterdir())


@pytest.mark.parametrize("word", ["ADAPTER", "DRAFT"])
def test_only_from_takes_parts(place: Place, parts: list[Path], word: str) -> None:
    assert place.create(f"FROM whole.gguf\n{word} big/model-00001-of-00003.gguf") is None
    assert "is a part of a split GGUF" in place.messages[0]


def test_a_part_with_another_name_is_refused(place: Place, parts: list[Path]) -> None:
    parts[0].rename(place.folder / "first.gguf")
    assert place.create("FROM first.gguf") is None
    assert "its name does not say which" in place.messages[0]


@pytest.mark.skipif(find_spec("llama_cpp") is None, reason="pip install 'mbuild-modelfile[run]'")
def test_the_whole_answers_as_before_it_was_split(place: Place, parts: list[Path]) -> None:
    from mbuild.runtime.engine import Load, LoadOptions, Piece, Request, Sampling
    from mbuild.runtime.llama import Llama

    digest = _layer(place.create("FROM big"))[2]
    # The parts, as llama.cpp itself finds them, say that the test's splitter is right.
    files = [place.folder / "whole.gguf", parts[0], Path(place.store.blobs.path(digest))]
    answers = []
    for file in files:
        with closing(Llama(Load(str(file), options=LoadOptions(num_thread=1)))) as engine:
            request = Request(engine.tokenize("one"), sampling=Sampling(temperature=0))
            found = [each.text for each in engine.generate(request) if isinstance(each, Piece)]
            answers.append("".join(found))
    assert answers == [" two three four five six seven eight"] * 3
