"""Parsing and rendering a chat template, beside Jinja2 doing the same in the same run.

``python benchmarks/bench_template.py``; the exit status is 1 if rendering 100 messages takes
more than four times what Jinja2 takes, or if time does not grow with the messages.
"""

import sys
from collections.abc import Callable
from datetime import date
from time import perf_counter

from jinja2 import Environment

from mbuild.compiler.template.chat import Message
from mbuild.compiler.template.prompt import Request, chat_template, render

TODAY = date(2024, 3, 1)
ALLOWED = 4.0  # times as long as Jinja2
GROWTH = 2.0  # times as long for each message of a long conversation as for one of a short

PLAIN = """{{ range .Messages }}<|start_header_id|>{{ .Role }}<|end_header_id|>

{{ .Content }}<|eot_id|>{{ end }}<|start_header_id|>assistant<|end_header_id|>

"""
PLAIN_JINJA = """{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>

{{ m['content'] }}<|eot_id|>{% endfor %}<|start_header_id|>assistant<|end_header_id|>

"""
LAST = """{{ range $i, $_ := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}\
{{ if eq .Role "user" }}<|start_header_id|>user<|end_header_id|>

{{ .Content }}<|eot_id|>{{ if $last }}<|start_header_id|>assistant<|end_header_id|>

{{ end }}{{ else if eq .Role "assistant" }}<|start_header_id|>assistant<|end_header_id|>

{{ .Content }}{{ if not $last }}<|eot_id|>{{ end }}{{ end }}{{ end }}"""
LAST_JINJA = """{% for m in messages %}{% if m['role'] == 'user' %}\
<|start_header_id|>user<|end_header_id|>

{{ m['content'] }}<|eot_id|>{% if loop.last %}<|start_header_id|>assistant<|end_header_id|>

{% endif %}{% elif m['role'] == 'assistant' %}<|start_header_id|>assistant<|end_header_id|>

{{ m['content'] }}{% if not loop.last %}<|eot_id|>{% endif %}{% endif %}{% endfor %}"""
TEMPLATES = {"llama3": (PLAIN, PLAIN_JINJA), "llama3, last turn": (LAST, LAST_JINJA)}


def main() -> int:
    """Print the table; 1 if a bound is broken."""
    broken = False
    environment = Environment(keep_trailing_newline=True, autoescape=False)
    print(f"{'template':20} {'messages':>8} {'jinja2':>10} {'mbuild':>10} {'ratio':>6}")
    for name, (go, jinja) in TEMPLATES.items():
        seconds, other = parse_times(environment, go, jinja)
        print(line(name, "parse", other, seconds))
        each: list[float] = []
        for count in (100, 1_000, 10_000):
            seconds, other = render_times(environment, go, jinja, count)
            print(line(name, count, other, seconds))
            broken |= count == 100 and seconds > ALLOWED * other
            each.append(seconds / count)
        broken |= each[-1] > GROWTH * each[0]
    return int(broken)


def parse_times(environment: Environment, go: str, jinja: str) -> tuple[float, float]:
    return best(lambda: chat_template(go), lambda: environment.from_string(jinja))


def render_times(environment: Environment, go: str, jinja: str, count: int) -> tuple[float, float]:
    turns = [(("user", "assistant")[at % 2], f"message {at} " + "x" * 50) for at in range(count)]
    ours, theirs = chat_template(go), environment.from_string(jinja)
    request = Request(tuple(Message(role, content) for role, content in turns))
    messages = [{"role": role, "content": content} for role, content in turns]

    def render_ours() -> str:
        return render(ours, request, today=TODAY).text

    def render_theirs() -> str:
        return theirs.render(messages=messages)

    assert render_ours() == render_theirs()
    return best(render_ours, render_theirs)


def best(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
    """The shortest time of each of two, run by turns so that both meet the same machine."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(30):
        for run, taken in zip((first, second), times, strict=True):
            start = perf_counter()
            run()
            taken.append(perf_counter() - start)
    return min(times[0]), min(times[1])


def line(name: str, what: object, other: float, seconds: float) -> str:
    return f"{name:20} {what:>8} {other * 1e3:8.2f}ms {seconds * 1e3:8.2f}ms {seconds / other:6.2f}"


if __name__ == "__main__":
    sys.exit(main())
