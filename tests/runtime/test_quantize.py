"""Weights made smaller, by the real llama.cpp."""

import os
import select
import subprocess
import sys
from contextlib import closing, suppress
from importlib.util import find_spec
from pathlib import Path

import pytest
from gguf_files import F32, TensorData, floats, wide_llama, write_gguf

from mbuild.compiler import gguf
from mbuild.compiler.gguf import BadGguf
from mbuild.compiler.quantization import TYPES, CannotQuantize, Quantizer, exceptions
from mbuild.runtime import quantize as module
from mbuild.runtime.engine import (
    EngineMissing,
    Finished,
    Load,
    LoadOptions,
    Piece,
    Request,
    Sampling,
)
from mbuild.runtime.llama import Llama
from mbuild.runtime.quantize import quantize

pytestmark = pytest.mark.skipif(
    find_spec("llama_cpp") is None, reason="pip install 'mbuild-modelfile[run]'"
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of F16 weights that counts to eight."""
    return str(wide_llama(tmp_path_factory.mktemp("weights") / "wide.gguf"))


def said(path: str) -> str:
    """What the model at *path* says after "one"."""
    engine = Llama(Load(path, options=LoadOptions(num_thread=1)))
    with closing(engine):
        request = Request(engine.tokenize("one"), Sampling(temperature=0), num_predict=20)
        events = list(engine.generate(request))
    assert isinstance(events[-1], Finished)
    return "".join(event.text for event in events if isinstance(event, Piece))


def quiet(done: int, total: int) -> None:
    pass


def tensor_types(path: str) -> dict[str, str]:
    return {tensor.name: tensor.type for tensor in gguf.read(path).tensors}


def test_it_is_what_a_build_is_given() -> None:
    given: Quantizer = quantize
    assert given is quantize


@pytest.mark.parametrize("wanted", [each for each in TYPES if each != "F16"])
def test_each_type_is_made_and_still_answers(weights: str, tmp_path: Path, wanted: str) -> None:
    target = str(tmp_path / "out.gguf")
    quantize(weights, target, wanted, quiet)
    header = gguf.read(target)
    # The header of an F32 file says nothing that the reference reads.
    assert header.file_type == ("unknown" if wanted == "F32" else wanted)
    assert header.chat_template == gguf.read(weights).chat_template
    assert tensor_types(target)["blk.0.ffn_up.weight"] == wanted.removesuffix("_S").removesuffix(
        "_M"
    )
    assert said(target) == " two three four five six seven eight"


def test_f32_weights_are_quantized_too(tmp_path: Path) -> None:
    source, target = str(wide_llama(tmp_path / "f32.gguf", kind=F32)), str(tmp_path / "out.gguf")
    quantize(source, target, "Q8_0", quiet)
    assert os.path.getsize(target) < os.path.getsize(source) / 3
    assert said(target) == " two three four five six seven eight"


def test_the_same_weights_give_the_same_bytes_with_any_number_of_threads(
    weights: str, tmp_path: Path
) -> None:
    made = []
    for threads in (1, 2, 7, 0):
        target = tmp_path / f"{threads}.gguf"
        quantize(weights, str(target), "Q4_K_M", quiet, threads=threads)
        made.append(target.read_bytes())
    assert len(set(made)) == 1


def test_progress_is_told_in_bytes_of_the_source(weights: str, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    quantize(weights, str(tmp_path / "out"), "Q8_0", lambda done, total: told.append((done, total)))
    tensors = gguf.read(weights).tensors
    total = sum(tensor.size for tensor in tensors)
    assert [each[1] for each in told] == [total] * (len(tensors) + 2)
    assert [each[0] for each in told] == sorted(each[0] for each in told)
    assert (told[0][0], told[-1][0]) == (0, total)
    assert len({each[0] for each in told}) == len(tensors) + 1


def test_rows_that_do_not_divide_into_blocks_get_the_next_larger_type(tmp_path: Path) -> None:
    source, target = str(wide_llama(tmp_path / "in", width=64)), str(tmp_path / "out")
    quantize(source, target, "Q4_K_M", quiet)
    types = tensor_types(target)
    assert types["blk.0.ffn_up.weight"] == "Q5_0"
    assert types["blk.0.ffn_down.weight"] == "Q8_0"
    assert said(target) == " two three four five six seven eight"


def test_some_architectures_keep_more_of_some_tensors(
    weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The real ones are large; their rule is applied to a small one.
    monkeypatch.setattr(module, "exceptions", lambda _, wanted: exceptions("glm4", wanted))
    quantize(weights, str(tmp_path / "out"), "Q4_K_S", quiet)
    types = tensor_types(str(tmp_path / "out"))
    assert (types["token_embd.weight"], types["output.weight"]) == ("F16", "F16")
    assert types["blk.0.ffn_up.weight"] == "Q4_K"


def test_what_was_quantized_before_can_be_quantized_again(weights: str, tmp_path: Path) -> None:
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    quantize(weights, first, "Q8_0", quiet)
    quantize(first, second, "Q4_K_S", quiet)
    assert tensor_types(second)["blk.0.ffn_up.weight"] == "Q4_K"


def test_a_model_that_llama_cpp_does_not_know_is_an_error_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    source = str(write_gguf(tmp_path / "in", None, [TensorData("x", (1,), floats([1]))]))
    target = tmp_path / "out"
    with pytest.raises(CannotQuantize, match="unknown model architecture: 'test'") as caught:
        quantize(source, str(target), "Q8_0", quiet)
    assert caught.value.path == source
    assert not target.exists()


def test_damaged_numbers_are_an_error(tmp_path: Path) -> None:
    source = wide_llama(tmp_path / "in")
    size, data = 256 * 256 * 2, source.read_bytes()
    source.write_bytes(data[:-size] + b"\xff\x7f" * (size // 2))  # Not a number, each of them.
    with pytest.raises(CannotQuantize, match=r"in: .*invalid data"):
        quantize(str(source), str(tmp_path / "out"), "Q8_0", quiet)


def test_a_file_that_no_loader_should_see_is_not_shown_to_one(weights: str, tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.write_bytes(Path(weights).read_bytes()[:-64])
    with pytest.raises(BadGguf, match="cut short"):
        quantize(str(short), str(tmp_path / "out"), "Q8_0", quiet)
    assert not (tmp_path / "out").exists()


def test_a_target_that_cannot_be_written_is_an_error_of_the_system(
    weights: str, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError):
        quantize(weights, str(tmp_path / "no" / "out"), "Q8_0", quiet)


def test_a_disk_that_is_full_is_an_error_that_says_so(weights: str, tmp_path: Path) -> None:
    # A limit on the size of files stands for the disk; the child inherits it.
    script = f"""
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
from mbuild.compiler.quantization import CannotQuantize
from mbuild.runtime.quantize import quantize
try:
    quantize({weights!r}, {str(tmp_path / "out")!r}, "Q8_0", lambda done, total: None)
except CannotQuantize as error:
    print(error.reason)
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout.strip() == "it cannot be written: is the disk full?", result.stderr
    assert not (tmp_path / "out").exists()


def test_a_crash_of_native_code_is_an_error(
    weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash = tmp_path / "python"
    crash.write_text('#!/bin/sh\necho "llama.cpp:1: GGML_ASSERT(x) failed" >&2\nkill -ABRT $$\n')
    crash.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(crash))
    with pytest.raises(CannotQuantize, match=r"killed by SIGABRT: llama\.cpp:1: GGML_ASSERT"):
        quantize(weights, str(tmp_path / "out"), "Q8_0", quiet)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux")
def test_an_exception_while_it_works_leaves_no_process_and_no_file(
    weights: str, tmp_path: Path
) -> None:
    before = children()  # Other tests have engines of their own.

    def interrupted(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize(weights, str(tmp_path / "out"), "Q4_K_M", interrupted)
    assert not (tmp_path / "out").exists()
    assert children() == before


def children() -> set[str]:
    """The processes below this one, those that nobody has waited for among them."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # It has ended meanwhile.
            parent = (
                stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1]
            )
            if int(parent) == os.getpid():
                found.add(stat.parent.name)
    return found


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")
def test_the_child_ends_with_its_parent(tmp_path: Path) -> None:
    # llama.cpp waits for the source to be written, which never happens.
    os.mkfifo(tmp_path / "source")
    script = f"""
import subprocess, sys
from mbuild.runtime import wire
command = [sys.executable, "-P", "-m", "mbuild.runtime.quantize_child"]
child = subprocess.Popen(command, stdin=subprocess.PIPE)
order = {{"source": {str(tmp_path / "source")!r}, "target": {str(tmp_path / "out")!r}}}
child.stdin.write(wire.pack(order | {{"type": "Q8_0", "exceptions": [], "threads": 1}}))
child.stdin.flush()
print(child.pid, flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        handle = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    assert select.select([handle], [], [], 20)[0]
    os.close(handle)


def test_without_the_bindings_there_is_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(EngineMissing, match=r"pip install 'mbuild-modelfile\[run\]'"):
        quantize("in", str(tmp_path / "out"), "Q8_0", quiet)
