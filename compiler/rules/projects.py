"""What is told of a project's ``mbuild.toml``, by `mbuild build` alone."""

from mbuild.compiler.diagnostic import Code
from mbuild.compiler.rules.rule import Rule

_KID = '[models.kid]\nmodelfile = "kid/Modelfile"\n'

RULES = (
    Rule(
        Code.NOT_TOML,
        "mbuild.toml is not TOML.",
        "Texts stand in quotes, a table's name in brackets, and each key has one value.",
        "[models.kid]\nmodelfile = kid/Modelfile\n",
        _KID,
        by_build=True,
    ),
    Rule(
        Code.UNKNOWN_PROJECT_KEY,
        "mbuild.toml has a key that there is not.",
        "What a misspelled key says would be left out without a word.",
        '[models.kid]\nmodelfil = "kid/Modelfile"\n',
        _KID,
        by_build=True,
    ),
    Rule(
        Code.BAD_PROJECT_VALUE,
        "A value in mbuild.toml is not what its key takes.",
        "docs/projects.md tells what each key takes.",
        '[models.kid]\ntags = "v2"\n',
        '[models.kid]\ntags = ["v2"]\n',
        by_build=True,
    ),
    Rule(
        Code.BAD_MODEL_NAME,
        "A model, or a tag, cannot be called that.",
        "A name has letters, digits and _ . - only, and so has each tag that a matrix makes.",
        '[models."my kid"]\n',
        "[models.my-kid]\n",
        by_build=True,
    ),
    Rule(
        Code.REPEATED_MODEL,
        "Two models of the project get the same name and tag.",
        "The second would take the place of the first in each build.",
        '[models.kid]\n[models."kid:latest"]\nargs = {TONE = "strict"}\n',
        '[models.kid]\n[models."kid:strict"]\nargs = {TONE = "strict"}\n',
        by_build=True,
    ),
    Rule(
        Code.NO_MODELFILE,
        "A model of the project has no Modelfile that can be read.",
        "Without a key modelfile it is NAME/Modelfile, or else Modelfile, beside mbuild.toml.",
        '[models.kid]\nmodelfile = "kit/Modelfile"\n',
        _KID,
        by_build=True,
    ),
    Rule(
        Code.CIRCLE_OF_MODELS,
        "Models of the project are FROM one another in a circle.",
        "None of them can be the first to be built.",
        "FROM kid\nSYSTEM kid/Modelfile is FROM itself.\n",
        "FROM llama3.2:3b\nSYSTEM kid/Modelfile is FROM another.\n",
        by_build=True,
    ),
)
