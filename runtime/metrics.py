"""What the server has done, counted: for Prometheus.

Source: the text format of Prometheus, version 0.0.4.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from threading import Lock

from mbuild.runtime.pool import Resident

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_HELP = {
    "mbuild_requests_total": ("counter", "Requests that were answered, by path and status."),
    "mbuild_prompt_tokens_total": ("counter", "Tokens of prompts, those in the cache included."),
    "mbuild_generated_tokens_total": ("counter", "Tokens that were drawn."),
    "mbuild_engines_loaded": ("gauge", "Engines that are loaded."),
    "mbuild_requests_under_way": ("gauge", "Requests that an engine answers now."),
}

_Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Counts, which only grow. Any thread may call."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: Counter[tuple[str, _Labels]] = Counter()

    def request(self, path: str, status: int) -> None:
        """Count an answer; *path* is one of those that there are."""
        self._add("mbuild_requests_total", 1, (("path", path), ("status", str(status))))

    def answer(self, line: Mapping[str, object]) -> None:
        """Count the tokens that the last line of an answer tells of."""
        for key, name in (
            ("prompt_eval_count", "mbuild_prompt_tokens_total"),
            ("eval_count", "mbuild_generated_tokens_total"),
        ):
            count = line.get(key)
            if isinstance(count, int):
                self._add(name, count)

    def text(self, residents: Iterable[Resident]) -> str:
        """All counts, and what is loaded now."""
        there = tuple(residents)
        with self._lock:
            counts = dict(self._counts)
        counts["mbuild_engines_loaded", ()] = len(there)
        counts["mbuild_requests_under_way", ()] = sum(each.requests for each in there)
        return "".join(_block(name, counts) for name in _HELP)

    def _add(self, name: str, count: int, labels: _Labels = ()) -> None:
        with self._lock:
            self._counts[name, labels] += count


def _block(name: str, counts: Mapping[tuple[str, _Labels], int]) -> str:
    kind, about = _HELP[name]
    found = sorted((labels, count) for (each, labels), count in counts.items() if each == name)
    rows = "".join(f"{name}{_shown(labels)} {count}\n" for labels, count in found or [((), 0)])
    return f"# HELP {name} {about}\n# TYPE {name} {kind}\n{rows}"


def _shown(labels: _Labels) -> str:
    pairs = ",".join(f'{key}="{value}"' for key, value in labels)
    return f"{{{pairs}}}" if pairs else ""
