"""Models' own chat templates: what they may say, and what they may not do."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from mbuild.runtime import jinja
from mbuild.runtime.engine import EngineMissing
from mbuild.runtime.jinja import ChatTemplate, Templates, TemplateTooBig
from mbuild.runtime.message import Message
from mbuild.runtime.prompt import CHATML, NoPlaceFor, TemplateRefused, Think

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def templates() -> Iterator[Templates]:
    """A worker whose clock stands still."""
    made = Templates(now=lambda: NOON)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        pytest.param("{{ bos_token }}{{ messages[0].content }}", "<s>hi", id="variables"),
        pytest.param("{% if true %}\n  a\n{% endif %}\nb", "  a\nb", id="blocks are trimmed"),
        pytest.param("a\n    {% if true %}b{% endif %}", "a\nb", id="blanks before blocks"),
        pytest.param("{{ missing }}|{{ missing is defined }}", "|False", id="undefined"),
        pytest.param("{{ {'b': '<é>', 'a': 1} | tojson }}", '{"b": "<é>", "a": 1}', id="tojson"),
        pytest.param("{{ [1] | tojson(indent=2) }}", "[\n  1\n]", id="tojson, indented"),
        pytest.param("{{ strftime_now('%d %b %Y') }}", "04 May 2026", id="the date"),
        pytest.param(
            "{% for n in range(9) %}{% if n == 1 %}{% continue %}{% endif %}"
            "{% if n == 3 %}{% break %}{% endif %}{{ n }}{% endfor %}",
            "02",
            id="loop controls",
        ),
        pytest.param(
            "{% set n = 1 %}{% generation %}{% set n = 2 %}{{ n }}{% endgeneration %}{{ n }}",
            "21",
            id="generation has its own scope",
        ),
        pytest.param(
            "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}"
            "{% endfor %}{{ ns.n }}",
            "1",
            id="namespaces",
        ),
        pytest.param("{{ '{}-{:>3}'.format('a', 1) }}", "a-  1", id="harmless formatting"),
        pytest.param("{{ 'a<b' }}", "a<b", id="nothing is escaped"),
    ],
)
def test_render(templates: Templates, template: str, expected: str) -> None:
    values = {"messages": [{"role": "user", "content": "hi"}], "bos_token": "<s>"}
    assert templates.render(template, values) == expected


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        pytest.param("{% if %}", "line 1: Expected an expression", id="syntax"),
        pytest.param("\n{{ a", "line 2: unexpected end of template", id="unclosed"),
        pytest.param("{{ raise_exception('no system') }}", "no system", id="its own words"),
        pytest.param("{{ a.b.c }}", "'a' is undefined", id="undefined"),
        pytest.param("{{ 1 / 0 }}", "division by zero", id="arithmetic"),
        pytest.param("{% include 'x' %}", "no loader for this environment specified", id="files"),
        # What a stranger says is shown on a terminal.
        pytest.param("{{ raise_exception('a\x1b[31m\nb') }}", "a [31m b", id="control characters"),
    ],
)
def test_what_a_template_cannot_do_is_said(
    templates: Templates, template: str, reason: str
) -> None:
    with pytest.raises(TemplateRefused) as caught:
        templates.render(template, {})
    assert reason in caught.value.reason


# Each reaches for code or for what it is not given; published against tools of this kind.
ESCAPES = {
    "globals": "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "joiner": "{{ joiner.__init__.__globals__['os'] }}",
    "namespace": "{{ namespace.__init__.__globals__.os }}",
    "self": "{{ self.__init__.__globals__.__builtins__ }}",
    "subclasses": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "format": "{{ '{0.__class__.__init__.__globals__}'.format(raise_exception) }}",
    "format_map": "{{ '{a.__globals__}'.format_map({'a': raise_exception}) }}",
    "attr": "{{ raise_exception | attr('__globals__') }}",
    "attr of a method": "{{ (''|attr('format'))('{0.__globals__}', raise_exception) }}",
    "map": "{{ [raise_exception] | map(attribute='__globals__') | list }}",
    "map of attr": "{{ [raise_exception] | map('attr', '__globals__') | list }}",
    "item": "{{ raise_exception['__globals__'] }}",
    "code": "{{ raise_exception.__code__.co_consts }}",
    "generator": "{{ (messages | map('upper')).gi_frame.f_globals }}",
    "block": "{% macro m() %}{% endmacro %}{{ m._func.__globals__ }}",
    "lipsum": "{{ lipsum.__globals__['os'] }}",
    "extension": "{{ self._TemplateReference__context.environment.extensions }}",
    "input": "{{ messages.append('x') }}",
    "input items": "{{ messages[0].update({'content': 'x'}) }}",
    "environment": "{{ environ }}{{ os }}{{ sys }}{{ open('/etc/passwd') }}",
    "import": "{{ __import__('os').getcwd() }}",
}


@pytest.mark.parametrize("template", ESCAPES.values(), ids=ESCAPES.keys())
def test_no_way_out(templates: Templates, template: str) -> None:
    values = {"messages": [{"content": "hi"}]}
    try:
        text = templates.render(template, values)
    except TemplateRefused:
        text = ""
    # Some of these are merely undefined: they say nothing of the world.
    assert not {"os", "root", "uid", "builtins", "code", "module"} & set(
        "".join(each if each.isalnum() else " " for each in text).split()
    )
    assert templates.render("{{ messages[0].content }}", values) == "hi"


BOMBS = {
    "range": "{% for i in range(10**9) %}x{% endfor %}",
    "text": "{{ 'a' * 10**10 }}",
    "a large text": "{{ 'a' * (2 * 10**7) }}",
    "list": "{{ [1] * 10**10 }}",
    "format": "{{ '%999999999d' % 1 }}",
    "output": "{% for i in range(99999) %}{{ 'a' * 10000 }}{% endfor %}",
    "doubling": "{% set n = namespace(a='aaaa') %}{% for i in range(90) %}"
    "{% set n.a = n.a ~ n.a %}{% endfor %}",
    "macro without end": "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}",
    "deep macros": "".join(
        f"{{% macro m{n}() %}}{f'{{{{ m{n - 1}() * 10 }}}}' if n else 'x'}{{% endmacro %}}"
        for n in range(12)
    )
    + "{{ m11() }}",
    "nesting": "{% if true %}" * 3000 + "{% endif %}" * 3000,
    "parentheses": "{{ " + "(" * 50000 + ")" * 50000 + " }}",
    "loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "power": "{{ 7 ** (7 ** 9) }}",
}


@pytest.fixture(scope="module")
def impatient() -> Iterator[Templates]:
    """A worker that gets one second."""
    made = Templates(patience=1.0)
    yield made
    made.close()


@pytest.mark.parametrize("template", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_stopped_and_the_next_template_is_filled(
    impatient: Templates, template: str
) -> None:
    with pytest.raises(TemplateTooBig):
        impatient.render(template, {})
    assert impatient.render("{{ n }}", {"n": 1}) == "1"


def test_how_a_template_was_stopped_is_said(impatient: Templates) -> None:
    with pytest.raises(TemplateTooBig, match="it took longer than 1 seconds"):
        impatient.render(BOMBS["loops"], {})
    with pytest.raises(TemplateTooBig, match="it wants too much memory"):
        impatient.render(BOMBS["text"], {})


def test_the_worker_knows_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MBUILD_SECRET", "hunter2")
    started: list[dict[str, Any]] = []
    real = subprocess.Popen

    def popen(*args: Any, **options: Any) -> Any:
        started.append(options)
        return real(*args, **options)

    monkeypatch.setattr(subprocess, "Popen", popen)
    worker = Templates()
    assert worker.render("{{ 1 }}", {}) == "1"
    worker.close()
    assert [set(options["env"]) for options in started] == [{"PYTHONPATH"}]


def test_one_worker_serves_until_it_is_closed() -> None:
    worker = Templates()
    worker.warm()
    first = _process(worker)
    worker.render("a", {})
    assert _process(worker) == first
    worker.close()
    worker.close()
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


def test_a_worker_that_was_killed_is_replaced() -> None:
    worker = Templates()
    worker.render("a", {})
    os.kill(_process(worker), signal.SIGKILL)
    with pytest.raises(TemplateTooBig):
        worker.render("a", {})
    assert worker.render("b", {}) == "b"
    worker.close()


def test_without_jinja_there_is_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jinja, "find_spec", lambda name: None)
    with pytest.raises(EngineMissing, match="jinja2 is not installed"):
        Templates().warm()


def test_starting_to_answer_imports_no_jinja() -> None:
    script = "import sys, mbuild.runtime.answer; print('jinja2' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


TALK = (
    Message("system", "Be brief."),
    Message("user", "héllo <|im_end|>"),
    Message("assistant", "Hi!"),
    Message("user", "Bye"),
)


def test_chatml(templates: Templates, snapshot: SnapshotAssertion) -> None:
    template = ChatTemplate(templates, CHATML, bos="<s>", eos="</s>")
    assert template.render(TALK).text == snapshot


def test_a_template_gets_what_transformers_gives(templates: Templates) -> None:
    template = ChatTemplate(
        templates,
        "{{ bos_token }}{{ messages | tojson }}{{ tools is none }}{{ add_generation_prompt }}"
        "{{ eos_token }}",
        bos="<s>",
        eos="</s>",
    )
    message = json.dumps([{"role": "user", "content": "Bye"}])
    assert template.render(TALK[3:]).text == f"<s>{message}TrueTrue</s>"


@pytest.mark.parametrize(
    ("think", "expected"),
    [(None, "|"), (False, "False|"), (True, "True|"), ("low", "True|low")],
)
def test_thinking_is_said_in_the_words_of_such_templates(
    templates: Templates, think: Think, expected: str
) -> None:
    template = ChatTemplate(templates, "{{ enable_thinking }}|{{ reasoning_effort }}")
    assert template.render(TALK, think=think).text == expected


def test_a_template_that_knows_of_thinking_thinks_unless_told_not_to(templates: Templates) -> None:
    template = ChatTemplate(templates, "{{ enable_thinking }}{# <think></think> #}")
    assert [template.render(TALK, think=think).text for think in (None, False)] == ["True", "False"]


def test_what_the_template_has_no_place_for_is_refused(templates: Templates) -> None:
    template = ChatTemplate(templates, CHATML)
    with pytest.raises(NoPlaceFor, match="no place for tools"):
        template.render(TALK, tools=[{"type": "function"}])
    with pytest.raises(NoPlaceFor, match="no place for a suffix"):
        template.fill_in("a", "b")


def _process(worker: Templates) -> int:
    assert worker._worker is not None
    return worker._worker._process.pid
