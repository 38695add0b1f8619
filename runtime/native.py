"""llama.cpp's models and contexts, called directly: the only module that imports its bindings.

Runs in a child process (:mod:`mbuild.runtime.llama_child`), since native code can end the
process that it runs in. Nothing here checks numbers: whoever makes a request does
(:mod:`mbuild.runtime.options`), except for token ids, which come from a caller as they are.

Sources: llama.h as quoted in the bindings' ``llama_cpp.py``.
"""

import ctypes
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from mbuild.runtime.batching import Stretch
from mbuild.runtime.engine import Adapter, Load, LoadOptions, Vocabulary
from mbuild.runtime.slots import packs

_ERROR = 4  # GGML_LOG_LEVEL_ERROR
_WARNING = 3
_CONTINUED = 5  # The text goes on where the last one ended.
_MOST_ERRORS = 20  # that are kept; only the first is ever told
_ALL_LAYERS = 0x7FFF  # More than any model has.
_MOST_INPUTS = 16  # that are embedded together


def _bindings() -> ModuleType:
    """The module of the low-level functions, without the package around it.

    The package's own ``__init__`` imports its high-level classes, and numpy with them: two to
    four tenths of a second before the first word, for nothing that is used here.
    """
    spec = find_spec("llama_cpp")
    assert spec is not None
    package = ModuleType("llama_cpp")
    package.__spec__ = spec
    package.__path__ = list(spec.submodule_search_locations or ())
    sys.modules["llama_cpp"] = package
    import llama_cpp.llama_cpp as bindings

    return bindings


llama: Any = _bindings()


class Refused(Exception):
    """llama.cpp did not take what it was given; the text says why in its own words."""


class Log:
    """What llama.cpp says while it works; its errors are kept until they are asked for."""

    def __init__(
        self, tell: Callable[[str], None], *, hear: Callable[[str], None] = lambda _: None
    ) -> None:
        """*tell* gets each warning and error, *hear* every line."""
        self._tell = tell
        self._hear_all = hear
        self._errors: list[str] = []
        self._level = 0
        # Kept for as long as the process lives: llama.cpp calls it whenever it likes.
        self._callback = llama.llama_log_callback(self._hear)
        llama.llama_log_set(self._callback, None)

    def cause(self) -> str:
        """The first error since the last call: those after it only say that there was one."""
        errors, self._errors = self._errors, []
        return _without_functions(errors[0]) if errors else "it gives no reason"

    def _hear(self, level: int, text: bytes, _: object) -> None:
        self._level = self._level if level == _CONTINUED else level
        line = text.decode("utf-8", "replace").strip()
        self._hear_all(line)
        if self._level == _ERROR and line and len(self._errors) < _MOST_ERRORS:
            self._errors.append(line)
        if self._level in (_WARNING, _ERROR) and line:
            self._tell(line)


def _without_functions(line: str) -> str:
    """What happened, without the names of the functions that it went through."""
    line = line.rpartition("error loading model: ")[2]
    function, _, rest = line.partition(": ")
    return rest if rest and function.replace("_", "").isalnum() else line


def supports_gpu() -> bool:
    """Whether this build can put layers on a GPU."""
    return bool(llama.llama_supports_gpu_offload())


class Weights:
    """A loaded model, and its vocabulary."""

    def __init__(self, load: Load, *, gpu_layers: int, log: Log) -> None:
        params = _model_params(load.options, gpu_layers)
        params.vocab_only = load.vocab_only
        path = load.weights.encode("utf-8", "surrogateescape")
        self._model = llama.llama_model_load_from_file(path, params)
        if not self._model:
            raise Refused(log.cause())
        self._vocab = llama.llama_model_get_vocab(self._model)
        self._spoken: dict[int, bytes] = {}
        self.size: int = llama.llama_vocab_n_tokens(self._vocab)
        self.bos: int = llama.llama_vocab_bos(self._vocab)
        self.adds_bos: bool = llama.llama_vocab_get_add_bos(self._vocab) and self.bos >= 0
        self.trained_ctx: int = max(0, llama.llama_model_n_ctx_train(self._model))

    @property
    def pointer(self) -> Any:
        return self._model

    @property
    def vocabulary_pointer(self) -> Any:
        return self._vocab

    @property
    def can_end(self) -> bool:
        """Whether there is a token that ends an answer."""
        ends = (llama.llama_vocab_eos(self._vocab), llama.llama_vocab_eot(self._vocab))
        return any(token >= 0 and self.ends(token) for token in ends)

    @property
    def generates(self) -> bool:
        """Whether it continues a text by itself: it decodes, and no encoder must come first."""
        encodes = llama.llama_model_has_encoder(self._model)
        return bool(llama.llama_model_has_decoder(self._model)) and not encodes

    def vocabulary(self) -> Vocabulary:
        eos = llama.llama_vocab_eos(self._vocab)
        return Vocabulary(self.size, self._text(self.bos), self._text(eos), self.adds_bos)

    def tokenize(self, text: str) -> list[int]:
        """The tokens of *text*, special ones included, with one BOS if the vocabulary wants it."""
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        tokens = (llama.llama_token * room)()
        count = llama.llama_tokenize(self._vocab, data, len(data), tokens, room, False, True)
        if count < 0:
            tokens = (llama.llama_token * -count)()
            count = llama.llama_tokenize(self._vocab, data, len(data), tokens, -count, False, True)
        found = list(tokens[:count])
        return [self.bos, *found] if self.adds_bos and found[:1] != [self.bos] else found

    def piece(self, token: int, *, special: bool) -> bytes:
        """The bytes of *token*; nothing for a special one, unless *special*."""
        if not 0 <= token < self.size:
            raise ValueError(f"no token {token}: there are {self.size}")
        buffer = ctypes.create_string_buffer(64)
        count = llama.llama_token_to_piece(self._vocab, token, buffer, 64, 0, special)
        if count < 0:
            buffer = ctypes.create_string_buffer(-count)
            count = llama.llama_token_to_piece(self._vocab, token, buffer, -count, 0, special)
        return buffer.raw[:count]

    def spoken(self, token: int) -> bytes:
        """The bytes that *token* adds to an answer."""
        found = self._spoken.get(token)
        if found is None:
            found = self._spoken[token] = self.piece(token, special=False)
        return found

    def ends(self, token: int) -> bool:
        """Whether *token* ends an answer."""
        return bool(llama.llama_vocab_is_eog(self._vocab, token))

    def heard(self, token: int) -> bytes | None:
        """The bytes that *token* adds to an answer; ``None`` if it ends the answer."""
        return None if self.ends(token) else self.spoken(token)

    @property
    def closes(self) -> bool:
        """Whether a token ends a text that is embedded."""
        return self._last() >= 0

    def closed(self, tokens: Sequence[int]) -> list[int]:
        """*tokens* with the one that ends a text, if the vocabulary wants one."""
        last = self._last()
        return [*tokens] if last < 0 or tokens[-1] == last else [*tokens, last]

    def _last(self) -> int:
        if llama.llama_vocab_get_add_sep(self._vocab):
            return int(llama.llama_vocab_sep(self._vocab))
        adds = llama.llama_vocab_get_add_eos(self._vocab)
        return int(llama.llama_vocab_eos(self._vocab)) if adds else -1

    def _text(self, token: int) -> str:
        return self.piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""


class NoMemory(Refused):
    """The model cannot continue a text: it keeps nothing of what it reads."""


class Context:
    """The memory of a model: what it has read, in sequences of tokens."""

    def __init__(
        self, weights: Weights, load: Load, *, num_ctx: int, threads: int, log: Log
    ) -> None:
        self._batch_size = min(load.options.num_batch, num_ctx)
        self._parallel = load.options.parallel
        params = _context_params(num_ctx, self._batch_size, threads, load.options.parallel)
        self._context = llama.llama_init_from_model(weights.pointer, params)
        if not self._context:
            raise Refused(log.cause())
        self._memory = llama.llama_get_memory(self._context)
        if not self._memory:
            llama.llama_free(self._context)
            raise NoMemory("the model has no memory to continue a text with")
        self._adapters = [_adapter(weights, each, log) for each in load.adapters]
        _apply_adapters(self._context, self._adapters, [each.scale for each in load.adapters])
        self._batch = llama.llama_batch_init(self._batch_size, 0, 1)
        self._abort = ctypes.create_string_buffer(2)
        self._listen()

    @property
    def pointer(self) -> Any:
        return self._context

    @property
    def parallel(self) -> int:
        """How many sequences there are."""
        return self._parallel

    @property
    def batch_size(self) -> int:
        return self._batch_size

    @property
    def can_shift(self) -> bool:
        return bool(llama.llama_memory_can_shift(self._memory))

    def interrupt(self, *, on: bool) -> None:
        """End the step under way, and each further one, until it is off; from any thread."""
        self._abort[0] = b"\1" if on else b"\0"

    def evaluate(self, stretches: Sequence[Stretch]) -> bool:
        """Read *stretches* (at most `batch_size` tokens); whether it was not interrupted.

        After an interruption the memory may hold a part of them.
        """
        _fill(self._batch, stretches)
        result = llama.llama_decode(self._context, self._batch)
        if result not in (0, 2):
            raise RuntimeError(f"llama_decode returned {result}")
        return bool(result == 0)

    def keep(self, slot: int, count: int) -> bool:
        """Forget all but the first *count* tokens of a sequence; whether that was possible.

        Memories that hold a state instead of tokens can only forget everything, and do.
        """
        if llama.llama_memory_seq_rm(self._memory, slot, count, -1):
            return True
        llama.llama_memory_seq_rm(self._memory, slot, -1, -1)
        return False

    def discard(self, slot: int, start: int, count: int) -> None:
        """Forget *count* tokens from *start* on, and move the later ones down."""
        llama.llama_memory_seq_rm(self._memory, slot, start, start + count)
        llama.llama_memory_seq_add(self._memory, slot, start + count, -1, -count)

    def logits(self, place: int, count: int) -> bytes:
        """What the token at *place* of the last step says of the next: *count* 32-bit floats."""
        numbers = llama.llama_get_logits_ith(self._context, place)
        return ctypes.string_at(numbers, 4 * count)

    def _listen(self) -> None:
        # llama.cpp asks before each operation whether to stop. A Python function would take the
        # interpreter's lock hundreds of times a token; strlen of a buffer that is empty until
        # someone writes into it answers the same question from C.
        strlen = ctypes.cast(ctypes.CDLL(None).strlen, ctypes.c_void_p).value
        self._callback = llama.ggml_abort_callback(strlen)
        address = ctypes.cast(self._abort, ctypes.c_void_p)
        llama.llama_set_abort_callback(self._context, self._callback, address)


class Embedder:
    """What texts mean, as vectors: a context of its own, made for reading whole texts."""

    def __init__(self, weights: Weights, load: Load, *, room: int, threads: int, log: Log) -> None:
        """*room* is the number of tokens that an input may have."""
        self._weights = weights
        self._room = room
        self._together = min(room, load.options.num_batch)
        self._log = log
        params = _context_params(room, room, threads, _MOST_INPUTS)
        params.n_ctx = room  # It is empty before each go.
        params.embeddings = True
        self._context = self._open(params)
        if llama.llama_pooling_type(self._context) == llama.LLAMA_POOLING_TYPE_NONE:
            llama.llama_free(self._context)
            params.pooling_type = llama.LLAMA_POOLING_TYPE_MEAN
            self._context = self._open(params)
        self._batch = llama.llama_batch_init(room, 0, 1)
        self._width = int(llama.llama_model_n_embd(weights.pointer))
        self._adapters = [_adapter(weights, each, log) for each in load.adapters]
        _apply_adapters(self._context, self._adapters, [each.scale for each in load.adapters])

    def embed(self, inputs: Sequence[Sequence[int]]) -> Iterator[list[bytes]]:
        """The vectors of *inputs*, as 32-bit floats, some at a time.

        None is longer than the room.
        """
        closed = [self._weights.closed(each)[: self._room] for each in inputs]
        for start, end in packs([len(each) for each in closed], self._together, _MOST_INPUTS):
            yield self._vectors(closed[start:end])

    def _vectors(self, inputs: Sequence[Sequence[int]]) -> list[bytes]:
        if memory := llama.llama_get_memory(self._context):
            llama.llama_memory_clear(memory, True)
        _fill(self._batch, [Stretch(at, 0, each, asks=True) for at, each in enumerate(inputs)])
        for place in range(self._batch.n_tokens):
            self._batch.logits[place] = 1
        result = llama.llama_decode(self._context, self._batch)
        if result:
            raise RuntimeError(f"llama_decode returned {result}")
        return [self._vector(at) for at in range(len(inputs))]

    def _vector(self, at: int) -> bytes:
        return ctypes.string_at(llama.llama_get_embeddings_seq(self._context, at), 4 * self._width)

    def _open(self, params: Any) -> Any:
        context = llama.llama_init_from_model(self._weights.pointer, params)
        if not context:
            raise Refused(self._log.cause())
        return context


def _fill(batch: Any, stretches: Sequence[Stretch]) -> None:
    index = 0
    for stretch in stretches:
        for position, token in enumerate(stretch.tokens, stretch.position):
            batch.token[index] = token
            batch.pos[index] = position
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = stretch.slot
            batch.logits[index] = 0
            index += 1
        batch.logits[index - 1] = stretch.asks
    batch.n_tokens = index


def _apply_adapters(context: Any, adapters: Sequence[Any], strengths: Sequence[float]) -> None:
    count = len(adapters)
    if not count:
        return
    pointers = (llama.llama_adapter_lora_p_ctypes * count)(*adapters)
    scales = (ctypes.c_float * count)(*strengths)
    if llama.llama_set_adapters_lora(context, pointers, count, scales):
        raise Refused("the adapter does not fit the model")


def _model_params(options: LoadOptions, gpu_layers: int) -> Any:
    params = llama.llama_model_default_params()
    params.n_gpu_layers = _ALL_LAYERS if gpu_layers < 0 else gpu_layers
    if options.main_gpu is not None:
        params.split_mode = llama.LLAMA_SPLIT_MODE_NONE
        params.main_gpu = options.main_gpu
    if options.use_mmap is not None:
        mapped, read = llama.LLAMA_LOAD_MODE_MMAP, llama.LLAMA_LOAD_MODE_NONE
        params.load_mode = mapped if options.use_mmap else read
    return params


def _context_params(num_ctx: int, batch_size: int, threads: int, parallel: int) -> Any:
    params = llama.llama_context_default_params()
    params.n_ctx = num_ctx * parallel
    params.n_batch = params.n_ubatch = batch_size
    params.n_seq_max = parallel
    # One buffer for all: of several, a step that reads more of one sequence than of another
    # would be split, and all weights read again for each part.
    params.kv_unified = True
    params.n_threads = params.n_threads_batch = threads
    # A sliding window that forgets would forbid going back to a common prefix.
    params.swa_full = True
    return params


def _adapter(weights: Weights, given: Adapter, log: Log) -> Any:
    data = given.path.encode("utf-8", "surrogateescape")
    adapter = llama.llama_adapter_lora_init(weights.pointer, data)
    if not adapter:
        raise Refused(f"adapter {given.path}: {log.cause()}")
    return adapter
