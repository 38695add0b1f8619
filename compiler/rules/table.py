"""All rules, by code."""

from collections.abc import Mapping

from mbuild.compiler.diagnostic import Code
from mbuild.compiler.rules import (
    additions,
    basics,
    layout,
    naming,
    projects,
    quoting,
    remarks,
    secrets,
    settings,
    texts,
)
from mbuild.compiler.rules.rule import Check, Rule

_WHOLE = (basics, layout, quoting, naming, secrets, remarks, projects)
_OF_A_STAGE = (settings, texts)
_ADDED = (additions,)

RULES: Mapping[Code, Rule] = {
    rule.code: rule
    for rule in sorted(
        (rule for module in (*_WHOLE, *_OF_A_STAGE, *_ADDED) for rule in module.RULES),
        key=lambda rule: rule.code.number,
    )
}
"""What each code means; there is a rule for every code."""

WHOLE: tuple[Check, ...] = tuple(
    rule.check for module in _WHOLE for rule in module.RULES if rule.check
)
"""The checks that look at a whole file."""

OF_A_STAGE: tuple[Check, ...] = tuple(
    rule.check for module in _OF_A_STAGE for rule in module.RULES if rule.check
)
"""The checks that look at one stage: a FROM, and what belongs to it."""

ADDED: tuple[Check, ...] = tuple(
    rule.check for module in _ADDED for rule in module.RULES if rule.check
)
"""The checks of what only the default dialect has; they look at a whole file."""
