"""Each rule's own examples: the wrong one is told of, the right one is not."""

import sys
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

sys.path.insert(0, str(Path(__file__).parent))

from worlds import FakeWorld

from mbuild.cli.explaining import format_document
from mbuild.compiler.diagnostic import Code, Diagnostic, Severity, render
from mbuild.compiler.lint import lint, mend
from mbuild.compiler.rules import RULES, Mending, Rule

ROOT = Path(__file__).parents[3]
SHOWN = [pytest.param(rule, id=rule.code.label) for rule in RULES.values() if not rule.by_build]
MENDED = [
    pytest.param(rule, id=rule.code.label)
    for rule in RULES.values()
    if rule.mending is not Mending.BY_HAND
]


def world(rule: Rule) -> FakeWorld:
    return FakeWorld(rule.files, rule.base)


def told(rule: Rule, text: str, encoding: str = "utf-8") -> tuple[Diagnostic, ...]:
    return lint("Modelfile", text.encode(encoding), world(rule))


def test_every_code_has_a_rule_and_every_rule_its_code() -> None:
    assert set(RULES) == set(Code)
    assert all(rule.code is code for code, rule in RULES.items())


def test_lint_tells_of_many_rules() -> None:
    assert sum(not rule.by_build for rule in RULES.values()) >= 90


@pytest.mark.parametrize("rule", SHOWN)
def test_a_wrong_example_is_told_of_and_nothing_graver_is(rule: Rule) -> None:
    findings = told(rule, rule.wrong, rule.encoding)
    assert rule.code in {finding.code for finding in findings}
    others = [finding for finding in findings if finding.code is not rule.code]
    assert not any(finding.severity is Severity.ERROR for finding in others)


@pytest.mark.parametrize("rule", SHOWN)
def test_a_right_example_is_not_told_of_and_has_no_warning(rule: Rule) -> None:
    findings = told(rule, rule.right)
    assert not [finding for finding in findings if finding.code is rule.code]
    assert {finding.severity for finding in findings} <= {Severity.NOTE}


@pytest.mark.parametrize("rule", SHOWN)
def test_what_the_user_sees(rule: Rule, snapshot: SnapshotAssertion) -> None:
    findings = told(rule, rule.wrong, rule.encoding)
    shown = [finding for finding in findings if finding.code is rule.code]
    assert "\n\n".join(map(render, shown)) == snapshot


@pytest.mark.parametrize("rule", MENDED)
def test_what_a_rule_says_a_machine_can_mend_it_mends(rule: Rule) -> None:
    mended = mend("Modelfile", rule.wrong.encode(rule.encoding), world(rule))
    assert rule.code in {finding.code for finding in mended.findings}
    left = lint("Modelfile", mended.data, world(rule))
    assert not [finding for finding in left if finding.code is rule.code and finding.fix]


@pytest.mark.parametrize("rule", SHOWN)
def test_only_rules_that_say_so_have_fixes(rule: Rule) -> None:
    fixed = {each.code for each in told(rule, rule.wrong, rule.encoding) if each.fix}
    assert all(RULES[code].mending is not Mending.BY_HAND for code in fixed)


@pytest.mark.parametrize("rule", [pytest.param(rule, id=str(rule.code)) for rule in RULES.values()])
def test_a_rule_is_written_as_the_others(rule: Rule) -> None:
    assert rule.summary.endswith(".")
    assert rule.cause.endswith(".")
    assert len(rule.summary) < 90
    assert rule.wrong != rule.right or rule.encoding != "utf-8"
    assert rule.right.endswith("\n")


def test_the_document_is_the_rules() -> None:
    document = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
    assert document == format_document(), "python -m mbuild.cli.explaining > docs/rules.md"


def test_a_build_imports_no_rules() -> None:
    import subprocess

    script = "import sys, mbuild.compiler.create, mbuild.compiler.check, mbuild.compiler.build\n"
    script += "print([name for name in sys.modules if name.startswith('mbuild.compiler.rules')])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
