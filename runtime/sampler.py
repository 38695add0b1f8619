"""Which token comes next: llama.cpp's samplers, in the reference's order.

A grammar is asked last and seldom. Looking for all tokens that it allows costs as much as the
rest of a step, and most tokens that are drawn fit anyhow; so a token is drawn first, the grammar
looks at this one alone, and only if it does not fit all are looked at and another one is drawn.

Sources: llama.h as quoted in the bindings; the order is that of llama.cpp's own programs.
"""

import ctypes
import math
from array import array
from collections.abc import Sequence
from typing import Any

from mbuild.runtime.engine import BadGrammar, Logprob, Sampling
from mbuild.runtime.native import Context, Log, Weights, llama

_RANDOM = 0xFFFF_FFFF  # LLAMA_DEFAULT_SEED, which draws a seed of its own.


class Sampler:
    """Draws the tokens of one answer, all of which fit *grammar* if there is one.

    Raises:
        BadGrammar: llama.cpp does not take the grammar.
    """

    def __init__(
        self,
        sampling: Sampling,
        weights: Weights,
        context: Context,
        *,
        num_ctx: int,
        seed: int,
        grammar: str = "",
        log: Log | None = None,
    ) -> None:
        self._grammar = _Grammar(grammar, weights, log) if grammar else None
        self._weights = weights
        self._context = context
        self._chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
        for link in _links(sampling, weights.size, num_ctx, seed):
            llama.llama_sampler_chain_add(self._chain, link)

    def accept(self, tokens: Sequence[int]) -> None:
        """Let *tokens* of the prompt count as said, for the penalties."""
        for token in tokens:
            llama.llama_sampler_accept(self._chain, token)

    def draw(self, place: int) -> int | None:
        """The next token, after the one at *place* of the last step.

        ``None`` where the grammar allows no token, which ends an answer if none could end it.

        Raises:
            BadGrammar: no token of the vocabulary continues what the grammar began.
        """
        if self._grammar is None:
            return int(llama.llama_sampler_sample(self._chain, self._context.pointer, place))
        token = self._grammar.draw(self._chain, self._logits(place))
        if token is not None:
            llama.llama_sampler_accept(self._chain, token)
        return token

    def logprob(self, token: int, place: int, top: int) -> Logprob:
        """How likely *token* was by the model alone, and the *top* likeliest."""
        logits = self._logits(place)
        ranked = _ranked(logits, max(1, top))
        _, logit, probability = ranked[0]
        zero = logit - math.log(probability)  # the logit of what is certain

        def said(each: int) -> Logprob:
            return Logprob(each, self._weights.piece(each, special=True), logits[each] - zero)

        best = tuple(said(each) for each, _, _ in ranked[:top])
        return Logprob(token, said(token).data, logits[token] - zero, best)

    def close(self) -> None:
        llama.llama_sampler_free(self._chain)
        if self._grammar is not None:
            self._grammar.close()

    def _logits(self, place: int) -> "array[float]":
        return array("f", self._context.logits(place, self._weights.size))


class _Grammar:
    """A grammar, and how far an answer has come in it."""

    def __init__(self, text: str, weights: Weights, log: Log | None) -> None:
        vocabulary = weights.vocabulary_pointer
        # An embedded NUL would end the text for llama.cpp, not for us.
        data = text.encode("utf-8", "replace").replace(b"\0", b"?")
        self._sampler = llama.llama_sampler_init_grammar(vocabulary, data, b"root")
        if not self._sampler:
            raise BadGrammar(log.cause() if log else "llama.cpp does not take it")
        self._likeliest = llama.llama_sampler_init_greedy()
        self._can_end = weights.can_end
        self._blank = _blank(weights.size)

    def draw(self, chain: Any, logits: "array[float]") -> int | None:
        """The next token by *chain*, accepted by the grammar and not yet by *chain*."""
        token = _Candidates(self._blank, logits).chosen(chain)
        if not self._fits(token):
            candidates = _Candidates(self._blank, logits)
            candidates.apply(self._sampler)
            likeliest = candidates.chosen(self._likeliest)
            if not self._fits(likeliest):
                self._check_stuck()
                return None
            token = candidates.chosen(chain)
            # Nearly nothing is left of unlikely tokens, and then rounding may choose a wrong one.
            token = token if self._fits(token) else likeliest
        llama.llama_sampler_accept(self._sampler, token)
        return token

    def close(self) -> None:
        llama.llama_sampler_free(self._sampler)
        llama.llama_sampler_free(self._likeliest)

    def _fits(self, token: int) -> bool:
        # llama.cpp ends the process when a grammar is to accept what does not fit.
        one = _Candidates(array("f", array("i", (token, 0, 0)).tobytes()), array("f", (0.0,)))
        one.apply(self._sampler)
        return one.first_logit == 0.0

    def _check_stuck(self) -> None:
        # A vocabulary without an end cannot say that the grammar is complete.
        if self._can_end:
            raise BadGrammar("the model has no token that continues what it has said")


class _Candidates:
    """The tokens that may come next, in memory that llama.cpp reads and writes."""

    def __init__(self, blank: "array[float]", logits: "array[float]") -> None:
        self._cells = blank[:]
        self._cells[1::3] = logits
        cells, count = self._cells.buffer_info()
        data = ctypes.cast(cells, llama.llama_token_data_p)
        self._array = llama.llama_token_data_array(data, count // 3, -1, False)

    @property
    def first_logit(self) -> float:
        return float(self._array.data[0].logit)

    def apply(self, sampler: Any) -> None:
        llama.llama_sampler_apply(sampler, ctypes.byref(self._array))

    def first(self, count: int) -> list[tuple[int, float, float]]:
        """The first of them: id, logit, probability."""
        found = self._array.data[: min(count, self._array.size)]
        return [(int(each.id), float(each.logit), float(each.p)) for each in found]

    def chosen(self, chain: Any) -> int:
        """The token that *chain* chooses."""
        self.apply(chain)
        return int(self._array.data[self._array.selected].id)


def _blank(size: int) -> "array[float]":
    """All candidates, as llama.cpp lays them out: id, logit, probability; 4 bytes each.

    The ids are written as the floats that have their bits.
    """
    cells = array("f", bytes(12 * size))
    cells[0::3] = array("f", array("i", range(size)).tobytes())
    return cells


def _ranked(logits: "array[float]", count: int) -> list[tuple[int, float, float]]:
    """The likeliest *count* tokens: id, logit, probability among all."""
    candidates = _Candidates(_blank(len(logits)), logits)
    chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
    # The draw, of which only the probabilities are wanted, and then the likeliest.
    llama.llama_sampler_chain_add(chain, llama.llama_sampler_init_dist(0))
    llama.llama_sampler_chain_add(chain, llama.llama_sampler_init_top_k(count))
    candidates.apply(chain)
    llama.llama_sampler_free(chain)
    return candidates.first(count)


def _links(sampling: Sampling, vocabulary: int, num_ctx: int, seed: int) -> list[Any]:
    last = num_ctx if sampling.repeat_last_n < 0 else sampling.repeat_last_n
    penalties = llama.llama_sampler_init_penalties(
        vocabulary,
        last,
        sampling.repeat_penalty,
        sampling.frequency_penalty,
        sampling.presence_penalty,
    )
    if sampling.temperature <= 0:
        return [penalties, llama.llama_sampler_init_greedy()]
    return [
        penalties,
        llama.llama_sampler_init_top_k(sampling.top_k),
        llama.llama_sampler_init_typical(sampling.typical_p, 1),
        llama.llama_sampler_init_top_p(sampling.top_p, 1),
        llama.llama_sampler_init_min_p(sampling.min_p, 1),
        llama.llama_sampler_init_temp(sampling.temperature),
        llama.llama_sampler_init_dist(_seed(seed)),
    ]


def _seed(seed: int) -> int:
    """*seed* as llama.cpp takes it: 32 bits, and not the number that asks for another."""
    return min(seed & _RANDOM, _RANDOM - 1)
