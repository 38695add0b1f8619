"""llama.cpp in its child process, with models that answer by rote."""

import math
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from bert_files import END, tiny_bert
from gguf_files import F32, WORDS, TensorData, floats, lora, tiny_llama, write_gguf
from shelf import Shelf

from mbuild.runtime import llama
from mbuild.runtime.answer import Session
from mbuild.runtime.engine import (
    Adapter,
    BadGrammar,
    CannotLoad,
    EngineDied,
    EngineMissing,
    Finished,
    Load,
    LoadOptions,
    Piece,
    PromptTooLong,
    Reason,
    Request,
    Sampling,
    Stats,
)
from mbuild.runtime.jinja import Templates
from mbuild.runtime.llama import Llama, epitaph

pytestmark = pytest.mark.skipif(
    find_spec("llama_cpp") is None, reason="pip install 'mbuild-modelfile[run]'"
)

GREEDY = Sampling(temperature=0)
EIGHT = " two three four five six seven eight"  # What follows "one".
Start = Callable[..., Llama]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts engines and closes them: ``start(load options, model options)``."""
    with ExitStack() as stack:

        def begin(options: LoadOptions | None = None, **model: Any) -> Llama:
            weights = tiny_llama(tmp_path / "tiny.gguf", **model)
            engine = Llama(Load(str(weights), options=options or LoadOptions(num_thread=1)))
            stack.callback(engine.close)
            return engine

        yield begin


@pytest.fixture(scope="module")
def rote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Llama]:
    """A model that counts to eight."""
    weights = tiny_llama(tmp_path_factory.mktemp("rote") / "tiny.gguf")
    engine = Llama(Load(str(weights), options=LoadOptions(num_thread=1)))
    yield engine
    engine.close()


def answer(engine: Llama, text: str, **options: Any) -> tuple[str, Reason, Stats]:
    request = Request(engine.tokenize(text), **{"sampling": GREEDY, **options})
    *pieces, finished = engine.generate(request)
    assert isinstance(finished, Finished)
    said = "".join(piece.text for piece in pieces if isinstance(piece, Piece))
    return said, finished.reason, finished.stats


def endless(start: Start) -> tuple[Llama, Request]:
    """An engine, and a request that takes it a long time."""
    engine = start(
        LoadOptions(num_ctx=32768, num_thread=1),
        follows={"one": " two", " two": "one"},
        context_length=32768,
    )
    return engine, Request(engine.tokenize("one"), GREEDY)


def ended(process: int, seconds: float) -> bool:
    """Whether a process that may not be our child ends within that time."""
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)


@pytest.mark.parametrize(
    ("options", "expected", "reason"),
    [
        pytest.param({}, EIGHT, Reason.STOP, id="to its end"),
        pytest.param({"num_predict": 3}, " two three four", Reason.LENGTH, id="three tokens"),
        pytest.param({"num_predict": 0}, "", Reason.LENGTH, id="no token"),
        pytest.param({"stop": (" four",)}, " two three", Reason.STOP, id="a token as stop"),
        pytest.param({"stop": ("e f",)}, " two thre", Reason.STOP, id="a stop across tokens"),
        pytest.param({"stop": ("e fx",)}, EIGHT, Reason.STOP, id="no stop after all"),
        # What was held back for a stop that did not come is said at the end.
        pytest.param({"stop": ("ee!",), "num_predict": 2}, " two three", Reason.LENGTH, id="held"),
        pytest.param({"stop": ("t!",)}, EIGHT, Reason.STOP, id="held until the model ends"),
    ],
)
def test_an_answer_and_why_it_ends(
    rote: Llama, options: dict[str, Any], expected: str, reason: Reason
) -> None:
    assert answer(rote, "one", **options)[:2] == (expected, reason)


def test_tokens_are_counted_and_those_in_the_cache_are_not_read_again(start: Start) -> None:
    engine = start()
    first = answer(engine, "one two")[2]
    again = answer(engine, "one two")[2]
    longer = answer(engine, "one two three four five six")[2]
    counts = [(s.prompt_eval_count, s.prompt_cached, s.eval_count) for s in (first, again, longer)]
    # <s> comes in front; the token that ends the answer counts as drawn.
    assert counts == [(3, 0, 7), (3, 2, 7), (7, 6, 3)]
    assert min(first.prompt_eval_duration, first.eval_duration) > 0


def test_a_prompt_is_read_in_portions_of_num_batch(start: Start) -> None:
    engine = start(LoadOptions(num_batch=1, num_thread=1))
    assert answer(engine, "one two three four")[0] == " five six seven eight"


def test_what_the_engine_says_of_itself(start: Start) -> None:
    loaded = start(LoadOptions(num_ctx=100, num_thread=1), context_length=64).loaded
    assert (loaded.num_ctx, loaded.trained_ctx) == (64, 64)
    assert (loaded.vocabulary.bos, loaded.vocabulary.eos) == ("<s>", "</s>")
    assert loaded.vocabulary.adds_bos
    assert loaded.duration > 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("one two", [b"<s>", b"one", b" two"], id="one in front"),
        pytest.param("<s>one", [b"<s>", b"one"], id="not twice"),
        pytest.param("one<|im_end|>", [b"<s>", b"one", b"<|im_end|>"], id="special"),
        pytest.param("", [b"<s>"], id="nothing"),
        pytest.param("\xe9", [b"<s>", b"\xc3", b"\xa9"], id="bytes"),
    ],
)
def test_tokenize(rote: Llama, text: str, expected: list[bytes]) -> None:
    assert list(rote.pieces(rote.tokenize(text))) == expected


def test_a_vocabulary_alone_tokenizes_as_the_whole_model_does(tmp_path: Path) -> None:
    weights = str(tiny_llama(tmp_path / "tiny.gguf"))
    text = "one two<|im_end|>"
    whole, alone = Llama(Load(weights)), Llama(Load(weights, vocab_only=True))
    with closing(whole), closing(alone):
        assert alone.tokenize(text) == whole.tokenize(text)
        assert alone.pieces(alone.tokenize(text)) == (b"<s>", b"one", b" two", b"<|im_end|>")
        assert alone.loaded.vocabulary == whole.loaded.vocabulary
        assert alone.loaded.num_ctx == 0
        with pytest.raises(ValueError, match="only the vocabulary is loaded"):
            alone.generate(Request((1,)))


def test_no_bos_where_the_vocabulary_wants_none(start: Start) -> None:
    engine = start(add_bos=False)
    assert engine.pieces(engine.tokenize("one")) == (b"one",)


def test_a_text_that_is_no_unicode_does_not_hurt(rote: Llama) -> None:
    assert rote.pieces(rote.tokenize("\udcff")) == (b"<s>", b"?")


def test_numbers_that_are_no_tokens_are_refused(rote: Llama) -> None:
    for token in (-1, 10**9):
        with pytest.raises(ValueError, match="tokens are numbers from 0"):
            rote.pieces([token])


def test_an_emoji_comes_whole(start: Start) -> None:
    codes = [f"<0x{code:02X}>" for code in "😀é".encode()]
    engine = start(follows=dict(zip(["one", *codes], [*codes, "</s>"], strict=True)))
    request = Request(engine.tokenize("one"), GREEDY)
    *pieces, _ = engine.generate(request)
    assert pieces == [Piece("😀", 4), Piece("é", 2)]


def test_half_an_emoji_at_the_end_is_dropped(start: Start) -> None:
    engine = start(follows={"one": "<0xF0>", "<0xF0>": "<0x9F>", "<0x9F>": "</s>"})
    assert answer(engine, "one")[:2] == ("", Reason.STOP)


def test_special_tokens_are_not_said(start: Start) -> None:
    engine = start(follows={"one": "<|im_start|>", "<|im_start|>": " two", " two": "<|im_end|>"})
    assert answer(engine, "one")[:2] == (" two", Reason.STOP)


def test_a_model_that_repeats_itself_is_stopped(start: Start) -> None:
    said, reason, stats = answer(start(follows={"one": " two", " two": " two"}), "one")
    assert (said, reason, stats.eval_count) == (" two" * 30, Reason.STOP, 31)


def test_an_answer_goes_on_beyond_the_context(start: Start) -> None:
    engine = start(LoadOptions(num_ctx=16, num_thread=1), follows={"one": " two", " two": "one"})
    said, reason, stats = answer(engine, "one")
    assert (reason, stats.eval_count) == (Reason.LENGTH, 160)
    assert said == " twoone" * 80
    # The cache knows what is left in it.
    assert answer(engine, "one two", num_predict=1)[0] == "one"


def test_without_a_shift_the_context_bounds_the_answer(start: Start) -> None:
    engine = start(LoadOptions(num_ctx=16, num_thread=1), follows={"one": " two", " two": "one"})
    _, reason, stats = answer(engine, "one", shift=False)
    assert (reason, stats.prompt_eval_count + stats.eval_count) == (Reason.LENGTH, 17)


def test_a_prompt_that_fills_the_context_is_refused_with_the_numbers(start: Start) -> None:
    engine = start(LoadOptions(num_ctx=8, num_thread=1))
    with pytest.raises(PromptTooLong, match="the prompt has 9 tokens, and the context holds 8"):
        answer(engine, "one" * 8)
    assert answer(engine, "one" * 6, num_predict=1)[0] == " two"


UNSURE: dict[str, Any] = {"follows": {"one": " two", " two": "one"}, "certainty": 0.0}


def drawn(engine: Llama, **sampling: Any) -> str:
    return answer(engine, "one", sampling=Sampling(**sampling), num_predict=12)[0]


def test_the_same_seed_draws_the_same_text(start: Start) -> None:
    engine = start(**UNSURE)
    flat = {"temperature": 1.0, "top_k": 0, "top_p": 1.0}
    texts = [drawn(engine, seed=seed, **flat) for seed in (1, 1, 2, -2, -2, 2**32 - 1)]
    assert texts[0] == texts[1]
    assert texts[3] == texts[4]
    assert len({texts[0], texts[2], texts[3]}) == 3
    # Without a seed, each answer is another.
    assert len({drawn(engine, **flat) for _ in range(4)}) == 4


@pytest.mark.parametrize(
    "sampling",
    [
        pytest.param({"top_k": 1}, id="top_k 1"),
        pytest.param({"top_p": 1e-9}, id="top_p 0"),
        pytest.param({"top_k": 0, "top_p": 1.0, "min_p": 1.0}, id="min_p 1"),
        pytest.param({"temperature": -1.0}, id="a temperature below 0"),
        pytest.param({"temperature": 1e-6, "top_k": 0}, id="hardly any temperature"),
    ],
)
def test_what_leaves_one_choice_is_as_greedy(rote: Llama, sampling: dict[str, Any]) -> None:
    chosen = Sampling(**{"temperature": 5.0, "seed": 3, **sampling})
    assert answer(rote, "one", sampling=chosen)[0] == EIGHT


@pytest.mark.parametrize(
    "penalty",
    [
        pytest.param({"repeat_penalty": 1e6}, id="repeat"),
        pytest.param({"presence_penalty": 1e6}, id="presence"),
        pytest.param({"frequency_penalty": 1e6}, id="frequency"),
    ],
)
def test_penalties_look_at_the_prompt_and_the_answer(start: Start, penalty: dict[str, Any]) -> None:
    # The other words are somewhat likely too, which no token without a follower is.
    engine = start(follows={**dict(pairwise(WORDS)), " two": "one"}, seed=3)
    plain = answer(engine, "one", num_predict=2)[0]
    assert plain == " twoone"

    def punished(last: int, text: str = "one") -> str:
        sampling = Sampling(temperature=0, repeat_last_n=last, **penalty)
        return answer(engine, text, sampling=sampling, num_predict=2)[0]

    # "one" stands in the prompt, and " two" in the second prompt.
    assert punished(64).startswith(" two")
    assert punished(64) != plain
    assert punished(-1) == punished(64)
    assert not punished(64, " twoone").startswith(" two")
    assert punished(0) == plain
    assert punished(1, " twooneone").startswith(" two")


def test_a_cancelled_answer_ends_soon_and_the_engine_goes_on(start: Start) -> None:
    engine, request = endless(start)
    generation = engine.generate(request)
    first = next(generation)
    generation.cancel()
    *_, finished = generation
    assert first == Piece(" two")
    assert isinstance(finished, Finished)
    assert finished.reason is Reason.CANCELLED
    assert finished.stats.eval_count < 300_000
    assert answer(engine, "one", num_predict=2)[0] == " twoone"


def test_an_answer_that_waits_for_another_can_be_cancelled(start: Start) -> None:
    engine, request = endless(start)
    first, second = engine.generate(request), engine.generate(request)
    second.cancel()
    next(first)
    first.cancel()
    assert [event.reason for event in second if isinstance(event, Finished)] == [Reason.CANCELLED]


def test_several_threads_may_ask_at_once(rote: Llama) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(answer(rote, "one")[0])) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [EIGHT] * 4


def test_a_killed_engine_says_so_and_a_new_one_works(start: Start) -> None:
    engine, request = endless(start)
    generation = engine.generate(request)
    next(generation)
    os.kill(engine.process, signal.SIGKILL)
    with pytest.raises(EngineDied, match="killed by SIGKILL"):
        list(generation)
    with pytest.raises(EngineDied):
        engine.tokenize("one")
    with pytest.raises(EngineDied):
        list(engine.generate(request))
    engine.close()
    assert answer(start(), "one")[0] == EIGHT


def test_a_crash_of_native_code_is_an_error_with_its_last_words(start: Start) -> None:
    engine = start(metadata={"llama.attention.layer_norm_rms_epsilon": float("nan")})
    with pytest.raises(EngineDied, match=r"killed by SIGABRT: ops\.cpp:\d+: GGML_ASSERT\(eps >= 0"):
        answer(engine, "one")


def test_closing_ends_the_child_also_while_it_answers(start: Start) -> None:
    engine, request = endless(start)
    generation = engine.generate(request)
    next(generation)
    engine.close()
    engine.close()
    with pytest.raises(ProcessLookupError):
        os.kill(engine.process, 0)
    with pytest.raises(EngineDied):
        list(generation)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")
@pytest.mark.parametrize("answering", [False, True], ids=["idle", "answering"])
def test_the_child_does_not_outlive_a_killed_parent(tmp_path: Path, answering: bool) -> None:
    tiny_llama(
        tmp_path / "tiny.gguf",
        follows={"one": " two", " two": "one"},
        context_length=32768,
    )
    script = f"""
import sys
from mbuild.runtime.engine import *
from mbuild.runtime.llama import Llama
engine = Llama(Load({str(tmp_path / "tiny.gguf")!r}, options=LoadOptions(num_ctx=32768)))
answer = engine.generate(Request(engine.tokenize("one"), Sampling(temperature=0)))
{"next(answer)" if answering else "answer.cancel(); list(answer)"}
print(engine.process, flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    assert ended(child, 10)


def test_ctrl_c_in_the_terminal_does_not_reach_the_child(start: Start) -> None:
    engine = start()
    assert os.getpgid(engine.process) != os.getpgid(0)
    os.kill(engine.process, signal.SIGINT)
    assert answer(engine, "one")[0] == EIGHT


def broken(path: Path, **changes: Any) -> Path:
    """A model that is good GGUF, and no good model."""
    return tiny_llama(path, metadata=changes)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(lambda path: path, "No such file", id="no file"),
        pytest.param(
            lambda path: write_gguf(path), "unknown model architecture: 'test'", id="architecture"
        ),
        pytest.param(
            lambda path: write_gguf(
                path, {"general.architecture": "llama"}, [TensorData("x", (1,), floats([1]), F32)]
            ),
            "key not found in model: llama.context_length",
            id="no keys",
        ),
        pytest.param(
            lambda path: broken(path, **{"llama.block_count": 2}),
            "tensor 'blk.1.attn_norm.weight' not found",
            id="no tensor",
        ),
        # Published against loaders that divide by it.
        pytest.param(
            lambda path: broken(path, **{"llama.attention.head_count": 0}),
            "tensor 'blk.0.attn_q.weight' has wrong shape",
            id="no heads",
        ),
        # llama.cpp asserts that there are some: the child crashes.
        pytest.param(
            lambda path: broken(path, **{"llama.block_count": 0}),
            "killed by SIGABRT: llama-model.cpp:",
            id="no blocks",
        ),
    ],
)
def test_weights_that_do_not_load_are_an_error_with_llama_cpps_own_reason(
    tmp_path: Path, make: Callable[[Path], Path], reason: str
) -> None:
    path = str(make(tmp_path / "bad.gguf"))
    with pytest.raises(CannotLoad) as caught:
        Llama(Load(path)).close()
    assert reason in caught.value.reason
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"cannot load {path}: ")


@pytest.fixture
def adapted(tmp_path: Path) -> Callable[..., str]:
    """What a model of rote says with adapters: ``adapted((row, scale), …)``."""
    weights = str(tiny_llama(tmp_path / "tiny.gguf", certainty=0.01))

    def speak(*adapters: tuple[int, float]) -> str:
        paths = [lora(tmp_path / f"{at}.gguf", "output.weight", 269, at=at) for at, _ in adapters]
        pairs = zip(paths, adapters, strict=True)
        given = tuple(Adapter(str(path), scale) for path, (_, scale) in pairs)
        engine = Llama(Load(weights, given, LoadOptions(num_thread=1)))
        with closing(engine):
            sampling = Sampling(temperature=1.0, top_k=0, top_p=1.0, seed=5)
            greedy = answer(engine, "one", num_predict=6)[0]
            return greedy + "|" + answer(engine, "one", num_predict=6, sampling=sampling)[0]

    return speak


LAST, FIRST = 268, 261  # The rows of " eight" and "one".


def test_an_adapter_acts_as_strongly_as_its_scale(adapted: Callable[..., str]) -> None:
    plain, whole = adapted(), adapted((LAST, 1.0))
    assert plain.startswith(" two three four")
    assert whole != plain
    assert adapted((LAST, 0.0)) == plain
    assert adapted((LAST, -1.0)) not in (plain, whole)


def test_adapters_add_up(adapted: Callable[..., str]) -> None:
    whole, both = adapted((LAST, 1.0)), adapted((LAST, 1.0), (FIRST, 1.0))
    assert adapted((LAST, 0.5), (LAST, 0.5)) == whole
    assert adapted((LAST, 1.0), (LAST, -1.0)) == adapted()
    assert both not in (whole, adapted((FIRST, 1.0)))
    assert adapted((FIRST, 1.0), (LAST, 1.0)) == both


def test_an_adapter_for_another_model_is_an_error(tmp_path: Path) -> None:
    weights = str(tiny_llama(tmp_path / "tiny.gguf"))
    adapter = str(lora(tmp_path / "lora.gguf", "blk.7.attn_q.weight", 64))
    with pytest.raises(CannotLoad, match=r"adapter .*lora\.gguf: "):
        Llama(Load(weights, (Adapter(adapter),))).close()


def test_without_the_bindings_there_is_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama, "find_spec", lambda name: None)
    with pytest.raises(EngineMissing, match=r"pip install 'mbuild-modelfile\[run\]'"):
        Llama(Load("x.gguf"))


def test_a_folder_with_modules_of_the_users_is_not_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tiny_llama(tmp_path / "tiny.gguf")
    (tmp_path / "json.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    engine = Llama(Load(str(weights)))
    assert answer(engine, "one")[0] == EIGHT
    engine.close()


def test_ctrl_c_ends_the_answer_and_the_next_one_comes_at_once(tmp_path: Path) -> None:
    weights = tiny_llama(
        tmp_path / "tiny.gguf",
        follows={"<0x0A>": "one", "one": " two", " two": "one"},
        context_length=32768,
    )
    options = {"num_ctx": 32768, "temperature": 0, "num_thread": 1}
    model = Shelf(tmp_path / "blobs").model(weights, params=options)
    templates = Templates()
    with Session(model, start=Llama, templates=templates) as session:
        session.warm()
        answer = session.ask("hi")
        next(answer)
        threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            list(answer)
        first, *_, finished = session.ask("hi", {"num_predict": 3})
    templates.close()
    assert first == Piece("one")
    assert isinstance(finished, Finished)
    # It did not wait for the ten contexts that the first one would have had: some 30 seconds.
    assert finished.stats.total_duration < 5_000_000_000


@pytest.mark.parametrize(
    ("code", "lines", "expected"),
    [
        pytest.param(1, [], "exit code 1", id="silent"),
        pytest.param(
            1, ["Traceback:", "ValueError: x", ""], "exit code 1: ValueError: x", id="ours"
        ),
        pytest.param(-11, ["loading"], "killed by SIGSEGV: loading", id="crash"),
        pytest.param(
            -6,
            ["/tmp/x/ggml.c:1: GGML_ASSERT(n / 2 > 0) failed", "WARNING: no debugger"],
            "killed by SIGABRT: ggml.c:1: GGML_ASSERT(n / 2 > 0) failed",
            id="assertion",
        ),
        pytest.param(
            -9, ["old"], "killed by SIGKILL, as happens when memory runs out", id="killed"
        ),
        pytest.param(-250, [], "killed by signal 250", id="unknown signal"),
    ],
)
def test_epitaph(code: int, lines: list[str], expected: str) -> None:
    assert epitaph(code, lines) == expected


def test_starting_to_answer_imports_neither_the_bindings_nor_numpy() -> None:
    script = (
        "import sys, mbuild.runtime.answer, mbuild.runtime.llama;"
        "print({'llama_cpp', 'numpy', 'rich', 'lark'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"


FLAT = Sampling(temperature=1.0, top_k=0, top_p=1.0, seed=1)


@pytest.mark.parametrize(
    "sampling", [GREEDY, FLAT, Sampling(seed=1)], ids=["greedy", "flat", "usual"]
)
def test_all_that_is_said_fits_the_grammar(start: Start, sampling: Sampling) -> None:
    engine = start(certainty=0.0)
    said, reason, stats = answer(
        engine, "one", sampling=sampling, grammar='root ::= "ab" [0-9]{3} | "é😀"'
    )
    assert said == "é😀" or (said[:2] == "ab" and said[2:].isdigit() and len(said) == 5)
    # It ends where the grammar does, by the token that ends an answer.
    assert (reason, stats.eval_count) == (Reason.STOP, len(said.encode()) + 1)


def test_what_fits_is_drawn_as_without_a_grammar(rote: Llama) -> None:
    grammar = "root ::= [a-z ]+"
    assert answer(rote, "one", grammar=grammar)[:2] == (EIGHT, Reason.STOP)
    longest = 'root ::= " two" (" three" | " four") " eight"'
    assert answer(rote, "one", grammar=longest)[0] == " two three eight"


def test_seeds_matter_under_a_grammar_too(start: Start) -> None:
    engine = start(certainty=0.0)

    def drawn(seed: int) -> str:
        return answer(
            engine,
            "one",
            sampling=Sampling(temperature=1.0, top_k=0, top_p=1.0, seed=seed),
            grammar="root ::= [a-z]{20}",
        )[0]

    assert drawn(1) == drawn(1)
    assert len({drawn(seed) for seed in range(5)}) == 5


def test_a_grammar_ends_with_num_predict_or_a_stop_too(start: Start) -> None:
    engine = start(certainty=0.0)
    grammar = 'root ::= "abcdefgh"'
    assert answer(engine, "one", grammar=grammar, num_predict=3)[:2] == ("abc", Reason.LENGTH)
    assert answer(engine, "one", grammar=grammar, stop=("de",))[:2] == ("abc", Reason.STOP)


def test_penalties_do_not_break_a_grammar(start: Start) -> None:
    sampling = Sampling(temperature=0.1, repeat_penalty=1e6, presence_penalty=1e6, seed=3)
    said = answer(start(), "one", sampling=sampling, grammar='root ::= "aaaaaaaaaa"')
    assert said[:2] == ("aaaaaaaaaa", Reason.STOP)


@pytest.mark.parametrize(
    ("grammar", "reason"),
    [
        pytest.param("root ::= (", "failed to parse grammar", id="half a rule"),
        pytest.param('other ::= "a"', "does not contain a 'root' symbol", id="no root"),
        pytest.param('root ::= root "a"', "left recursion detected", id="left recursion"),
        pytest.param("root ::= missing", "failed to parse grammar", id="a missing rule"),
        pytest.param('root ::= "a"{99999}', "failed to parse grammar", id="too often"),
        pytest.param("\0", "failed to parse grammar", id="NUL"),
        pytest.param("root ::= \udcff", "failed to parse grammar", id="no text"),
    ],
)
def test_a_grammar_that_is_none_is_refused_and_the_engine_goes_on(
    rote: Llama, grammar: str, reason: str
) -> None:
    with pytest.raises(BadGrammar, match=reason):
        answer(rote, "one", grammar=grammar)
    assert answer(rote, "one")[0] == EIGHT


def test_a_grammar_that_the_vocabulary_cannot_follow_is_an_error(start: Start) -> None:
    # There is no such token, and no bytes that it could be made of.
    engine = start(metadata={"tokenizer.ggml.token_type": [2] + [3] * 260 + [4] * 8})
    with pytest.raises(BadGrammar, match="no token that continues"):
        answer(engine, "one", grammar='root ::= " two" "!"')


def test_a_long_answer_by_a_grammar_can_be_cancelled(start: Start) -> None:
    engine, request = endless(start)
    generation = engine.generate(replace(request, grammar="root ::= [a-z ]*"))
    next(generation)
    generation.cancel()
    *_, finished = generation
    assert isinstance(finished, Finished)
    assert finished.reason is Reason.CANCELLED


def circle(start: Start, **options: Any) -> tuple[Llama, Request]:
    """An engine that answers several requests at once, and one that goes on for long."""
    chosen = LoadOptions(**{"num_ctx": 4096, "num_thread": 1, "parallel": 4, **options})
    engine = start(
        chosen,
        follows={**dict(pairwise([*WORDS, "</s>"])), "<0x61>": "<0x62>", "<0x62>": "<0x61>"},
        context_length=4096,
    )
    return engine, Request(engine.tokenize("a"), GREEDY)


def test_several_answers_come_side_by_side(start: Start) -> None:
    engine, _ = circle(start)
    one, two, three = (
        engine.generate(Request(engine.tokenize(text), GREEDY))
        for text in ("one", " three", "a" * 3 + " five")
    )
    # Each is under way before any is read to its end.
    firsts = [next(each) for each in (three, two, one)]
    assert firsts == [Piece(" six"), Piece(" four"), Piece(" two")]
    ends = [list(each)[-1] for each in (one, two, three)]
    assert [end.reason for end in ends if isinstance(end, Finished)] == [Reason.STOP] * 3


def test_an_answer_that_nobody_reads_stops_no_other(start: Start) -> None:
    engine, long = circle(start)
    ignored = engine.generate(long)
    assert answer(engine, "one")[0] == EIGHT
    ignored.cancel()
    *_, finished = ignored
    assert isinstance(finished, Finished)
    assert finished.reason is Reason.CANCELLED


def test_a_question_is_answered_while_an_answer_is_under_way(start: Start) -> None:
    engine, long = endless(start)
    generation = engine.generate(long)
    next(generation)
    assert engine.pieces(engine.tokenize("one")) == (b"<s>", b"one")
    generation.cancel()
    assert isinstance(list(generation)[-1], Finished)


def test_a_cancelled_answer_gives_its_slot_to_the_next(start: Start) -> None:
    engine, long = circle(start, parallel=2)
    first, second = engine.generate(long), engine.generate(long)
    assert (next(first), next(second)) == (Piece("b"), Piece("b"))
    waiting = engine.generate(Request(engine.tokenize("one"), GREEDY))
    first.cancel()
    said = "".join(piece.text for piece in waiting if isinstance(piece, Piece))
    assert said == EIGHT
    second.cancel()
    for each in (first, second):
        assert isinstance(list(each)[-1], Finished)


def test_conversations_in_turns_are_not_read_again(start: Start) -> None:
    engine, _ = circle(start)
    talks = ["one two three four five", "a three a one a three a one"]
    for talk in talks:
        answer(engine, talk, num_predict=1)
    for turn in range(3):
        for at, talk in enumerate(talks):
            before = len(engine.tokenize(talk))
            talks[at] = talk + " seven two" * (turn + 1)
            stats = answer(engine, talks[at], num_predict=1)[2]
            assert stats.prompt_cached >= before - 1
            assert stats.prompt_eval_count == len(engine.tokenize(talks[at]))


def test_every_answer_among_many_is_its_own(start: Start) -> None:
    engine, _ = circle(start, num_batch=8)
    expected = {word: answer(engine, word)[0] for word in WORDS}
    found: list[tuple[str, str]] = []

    def ask(at: int) -> None:
        for word in WORDS[at:] + WORDS[:at]:
            text = "a" * at + word
            found.append((word, answer(engine, text)[0]))

    threads = [threading.Thread(target=ask, args=(at,)) for at in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6 * len(WORDS)
    assert all(said == expected[word] for word, said in found)


def test_each_of_several_full_slots_makes_room_for_itself(start: Start) -> None:
    options = LoadOptions(num_ctx=16, num_thread=1, parallel=3)
    engine = start(options, follows={"one": " two", " two": "one"})
    requests = [Request(engine.tokenize("one" * length), GREEDY) for length in (1, 5, 9)]
    for generation in [engine.generate(request) for request in requests]:
        *pieces, finished = generation
        assert "".join(each.text for each in pieces if isinstance(each, Piece)) == " twoone" * 80
        assert isinstance(finished, Finished)


def test_a_grammar_holds_for_its_own_answer_only(start: Start) -> None:
    engine, _ = circle(start)
    request = Request(engine.tokenize("one"), GREEDY)
    bound = engine.generate(replace(request, grammar='root ::= "abcdefgh"'))
    free = engine.generate(request)
    none = engine.generate(replace(request, grammar="root ::= ("))
    said = ["".join(e.text for e in each if isinstance(e, Piece)) for each in (bound, free)]
    assert said == ["abcdefgh", EIGHT]
    with pytest.raises(BadGrammar):
        list(none)


def test_a_killed_engine_ends_every_answer(start: Start) -> None:
    engine, long = circle(start, parallel=2)
    generations = [engine.generate(long) for _ in range(3)]  # The last one waits.
    assert next(generations[0]) == next(generations[1])
    os.kill(engine.process, signal.SIGKILL)
    for generation in generations:
        with pytest.raises(EngineDied, match="killed by SIGKILL"):
            list(generation)


def test_tokens_that_are_none_do_not_reach_llama_cpp(rote: Llama) -> None:
    for prompt in ((-1,), (1, 10**6)):
        with pytest.raises(ValueError, match="tokens are numbers from 0"):
            rote.generate(Request(prompt))
        with pytest.raises(ValueError, match="tokens are numbers from 0"):
            rote.embed([prompt])
    for ask in (lambda: rote.generate(Request(())), lambda: rote.embed([[]])):
        with pytest.raises(ValueError, match="has no tokens"):
            ask()


def test_likely_tokens_are_told_beside_the_drawn_one(rote: Llama) -> None:
    request = Request(rote.tokenize("one"), GREEDY, num_predict=2, logprobs=3)
    pieces = [each for each in rote.generate(request) if isinstance(each, Piece)]
    assert [piece.text for piece in pieces] == [" two", " three"]
    (likely,) = pieces[0].logprobs
    assert likely.data == b" two"
    assert likely.top[0].data == b" two"
    assert len(likely.top) == 3
    assert likely.top[0].logprob == likely.logprob == pytest.approx(0.0, abs=1e-3)
    assert all(first.logprob >= second.logprob for first, second in pairwise(likely.top))


def test_probabilities_are_the_models_own_and_add_up(start: Start) -> None:
    engine = start(**UNSURE)
    size = engine.loaded.vocabulary.size
    # What is done for the draw does not matter.
    for sampling in (GREEDY, Sampling(temperature=9.0, top_k=1)):
        request = Request(engine.tokenize("one"), sampling, grammar='root ::= "a"')
        piece = next(engine.generate(replace(request, logprobs=size + 5)))
        assert isinstance(piece, Piece)
        (likely,) = piece.logprobs
        assert len(likely.top) == size
        assert sum(math.exp(each.logprob) for each in likely.top) == pytest.approx(1.0, abs=1e-3)
        assert likely.logprob == pytest.approx(-math.log(size), abs=1e-3)


def test_the_likely_tokens_of_a_piece_are_all_that_it_took(start: Start) -> None:
    codes = [f"<0x{code:02X}>" for code in "😀".encode()]
    engine = start(follows=dict(zip(["one", *codes], [*codes, "</s>"], strict=True)))
    request = Request(engine.tokenize("one"), GREEDY, logprobs=0)
    piece, _ = engine.generate(request)
    assert isinstance(piece, Piece)
    assert b"".join(each.data for each in piece.logprobs) == "😀".encode()
    assert all(each.top == () for each in piece.logprobs)


def test_logprobs_go_with_a_grammar_too(start: Start) -> None:
    request_of = Request((1,), GREEDY, grammar='root ::= "ab"', logprobs=1)
    pieces = [each for each in start(certainty=0.0).generate(request_of) if isinstance(each, Piece)]
    assert [each.logprobs[0].data for each in pieces] == [b"a", b"b"]


def length(vector: Sequence[float]) -> float:
    return math.sqrt(sum(number * number for number in vector))


def test_a_text_becomes_the_mean_of_its_tokens(rote: Llama) -> None:
    one, two = rote.tokenize("one")[1:], rote.tokenize(" two")[1:]
    first, second, both = rote.embed([one, two, one + two])
    # The blocks of this model add nothing, so a token is its own, normed, embedding.
    assert both == pytest.approx(
        [(a + b) / 2 for a, b in zip(first, second, strict=True)], abs=1e-5
    )
    assert length(first) == pytest.approx(8.0, rel=1e-3)  # the root of 64
    assert first != second


def test_texts_do_not_mix_however_many_are_embedded_at_once(start: Start) -> None:
    engine = start(LoadOptions(num_ctx=32, num_thread=1))
    inputs = [engine.tokenize(WORDS[at % 8] * (1 + at % 7)) for at in range(40)]
    alone = [engine.embed([each])[0] for each in inputs[:8]]
    together = engine.embed(inputs)
    assert len(together) == 40
    for found, expected in zip(together, alone, strict=False):
        assert found == pytest.approx(expected, abs=1e-5)
    assert engine.embed([]) == []


def test_an_input_that_is_too_long_is_refused_with_the_numbers(start: Start) -> None:
    engine = start(LoadOptions(num_ctx=32, num_thread=1))
    assert engine.loaded.embed_ctx == 32
    assert len(engine.embed([[5] * 32])) == 1
    with pytest.raises(PromptTooLong, match="has 33 tokens, and the context holds 32"):
        engine.embed([[5], [5] * 33])


def test_the_token_that_ends_a_text_is_added_where_it_is_wanted(start: Start) -> None:
    plain = start()
    inputs = [plain.tokenize("one"), (*plain.tokenize("one"), 2)]
    expected = pytest.approx(plain.embed(inputs)[1], abs=1e-6)
    adding = start(metadata={"tokenizer.ggml.add_eos_token": True})
    assert adding.embed(inputs) == [expected, expected]
    assert adding.loaded.embed_ctx == plain.loaded.embed_ctx - 1


def test_a_model_pools_as_it_says(start: Start) -> None:
    last = start(metadata={"llama.pooling_type": 3})
    one, both = last.embed([last.tokenize(" two")[1:], last.tokenize("one two")])
    assert one == pytest.approx(both, abs=1e-5)


def test_a_model_that_only_embeds_reads_whole_texts_and_does_not_answer(tmp_path: Path) -> None:
    with closing(Llama(Load(str(tiny_bert(tmp_path / "bert.gguf"))))) as engine:
        assert (engine.loaded.num_ctx, engine.loaded.embed_ctx) == (0, 63)
        text, back = engine.tokenize("one two"), engine.tokenize("two one")
        found = engine.embed([text, back, (*text, END), text])
        # [CLS] stands in front already, and [SEP] is added.
        assert found[0] == pytest.approx(found[2], abs=1e-5)
        assert found[0] == pytest.approx(found[3], abs=1e-5)
        assert found[0] != pytest.approx(found[1], abs=1e-2)
        assert len(engine.embed([[4] * 63])) == 1
        with pytest.raises(PromptTooLong):
            engine.embed([[4] * 64])
        with pytest.raises(ValueError, match="it cannot answer: the model only embeds"):
            engine.generate(Request(text))


def test_texts_are_embedded_while_an_answer_is_under_way(start: Start) -> None:
    engine, long = endless(start)
    generation = engine.generate(long)
    next(generation)
    assert len(engine.embed([engine.tokenize("one")])) == 1
    generation.cancel()
    assert isinstance(list(generation)[-1], Finished)


def test_many_texts_do_not_stop_the_answers(start: Start) -> None:
    engine, _ = circle(start)
    inputs = [engine.tokenize("one")] * 6000
    found: list[list[list[float]]] = []
    embedding = threading.Thread(target=lambda: found.append(engine.embed(inputs)))
    embedding.start()
    answers = 0
    while embedding.is_alive():
        answers += answer(engine, "one")[0] == EIGHT
    # If they waited for all texts: one before these, and one that waited.
    assert answers >= 5
    assert len(found[0]) == 6000


def test_a_vocabulary_alone_does_not_embed(tmp_path: Path) -> None:
    weights = str(tiny_llama(tmp_path / "tiny.gguf"))
    with (
        closing(Llama(Load(weights, vocab_only=True))) as alone,
        pytest.raises(ValueError, match="only the vocabulary is loaded"),
    ):
        alone.embed([[1]])
