"""The rules of the language as data: what each code means, why, and examples that are tested.

A rule that only `lint` tells has its check beside its text. Imported by `lint` alone: a build
tells its findings without knowing why they are rules.
"""

from mbuild.compiler.rules.rule import Base, Mending, Rule, World
from mbuild.compiler.rules.table import RULES

__all__ = ["RULES", "Base", "Mending", "Rule", "World"]
