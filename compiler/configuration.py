"""The configuration of a model, and what its architecture adds (create specification, 6)."""

from collections.abc import Iterable
from dataclasses import replace

from mbuild.compiler.recipe import ParameterValue, Recipe
from mbuild.compiler.weights import Weights
from mbuild.store.config import Config, Draft
from mbuild.store.manifest import MediaType

_GEMMA4_STOP = ("<turn|>",)

# The built-in renderer and parser that the reference gives to an architecture.
_BUILT_IN = {
    "gemma4": "gemma4",
    "laguna": "laguna",
    "nemotron_h": "nemotron-3-nano",
    "nemotron_h_moe": "nemotron-3-nano",
    "nemotron_h_omni": "nemotron-3-nano",
}


def inherited(base: Config) -> Config:
    """What a model takes over from the configuration of the model that it is FROM."""
    return Config(
        model_format=base.model_format,
        renderer=base.renderer,
        parser=base.parser,
        requires=base.requires,
        capabilities=base.capabilities,
    )


def configure(
    recipe: Recipe, start: Config, weights: Iterable[tuple[str, Weights]]
) -> tuple[Config, dict[str, ParameterValue]]:
    """The configuration of *recipe* on top of *start*, and the parameters to set.

    *weights* are the media types and summaries of the model's GGUF layers, in order.
    """
    config = replace(
        start,
        renderer=recipe.renderer or start.renderer,
        parser=recipe.parser or start.parser,
        requires=recipe.requires or start.requires,
        architecture="amd64",
        os="linux",
    )
    parameters = dict(recipe.parameters or {})
    for media_type, summary in weights:
        if media_type == MediaType.MODEL:
            config = _with_model(config, summary)
            config, parameters = _with_built_in(config, parameters, summary.architecture)
        elif media_type == MediaType.DRAFT:
            config = replace(config, draft=Draft("gguf", summary.architecture))
    return config, parameters


def _with_model(config: Config, summary: Weights) -> Config:
    return replace(
        config,
        model_format=config.model_format or "gguf",
        model_family=config.model_family or summary.architecture,
        model_type=config.model_type or parameter_count(summary.parameter_count),
        file_type=config.file_type or summary.file_type,
        model_families=(*config.model_families, summary.architecture),
    )


def _with_built_in(
    config: Config, parameters: dict[str, ParameterValue], architecture: str
) -> tuple[Config, dict[str, ParameterValue]]:
    name = _BUILT_IN.get(architecture)
    if name is None or (config.renderer and config.parser):
        return config, parameters
    if architecture == "gemma4":
        parameters = {"stop": _GEMMA4_STOP, **parameters}
    return replace(
        config, renderer=config.renderer or name, parser=config.parser or name
    ), parameters


def parameter_count(count: int) -> str:
    """*count* parameters in words (store specification, section 4.1).

    >>> parameter_count(134515008), parameter_count(7000000000), parameter_count(1500)
    ('134.52M', '7B', '2K')
    """
    if count >= 10**9:
        return f"{count // 10**9}B" if count % 10**9 == 0 else f"{count / 10**9:.1f}B"
    if count >= 10**6:
        return f"{count // 10**6}M" if count % 10**6 == 0 else f"{count / 10**6:.2f}M"
    return f"{count / 10**3:.0f}K" if count >= 10**3 else str(count)
