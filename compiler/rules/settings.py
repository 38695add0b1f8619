"""Rules about parameters: numbers that do nothing, cannot be meant, or belong to a machine."""

from collections.abc import Iterator

from mbuild.compiler.advice import short
from mbuild.compiler.diagnostic import Code, Diagnostic, Label
from mbuild.compiler.parameters import OPTIONS
from mbuild.compiler.rules.rule import Base, Rule, Subject, found
from mbuild.compiler.stop_rules import MARKER
from mbuild.compiler.syntax import Parameter

_SAMPLERS = {"top_p": 1.0, "top_k": 0.0, "min_p": 0.0, "typical_p": 1.0, "temperature": 1.0}
"""What chooses among tokens, and the value with which it leaves them all."""


def _greedy(subject: Subject) -> tuple[str, Parameter] | None:
    """The parameter by which the likeliest token is always taken, if there is one."""
    for name, value in (("temperature", 0), ("top_k", 1)):
        entry = subject.parts.numbers.get(name)
        if entry is not None and entry[0] == value:
            return name, entry[1]
    return None


def _idle_samplers(subject: Subject) -> Iterator[Diagnostic]:
    greedy = _greedy(subject)
    if greedy is None:
        return
    name, node = greedy
    label = Label(node.span, "always the likeliest token")
    for other, idle in _SAMPLERS.items():
        entry = subject.parts.numbers.get(other)
        # Their defaults are the same as not to be given, and 1 takes the likeliest, too.
        if entry is None or other == name or entry[0] in (idle, OPTIONS[other].default, 0, 1):
            continue
        message = f"{other} has no effect with {name} {node.value.cleaned}"
        hint = f"leave it out, or raise {name}"
        yield from found(Code.IDLE_SAMPLER, message, entry[1].span, hint, labels=(label,))


_RANGES: dict[str, tuple[float, float, str]] = {
    "temperature": (0, float("inf"), "0 or more"),
    "top_p": (0, 1, "a share, from 0 to 1"),
    "min_p": (0, 1, "a share, from 0 to 1"),
    "typical_p": (0, 1, "a share, from 0 to 1"),
    "top_k": (-1, float("inf"), "a number of tokens"),
    "repeat_penalty": (1e-9, float("inf"), "more than 0"),
    "num_ctx": (0, float("inf"), "a number of tokens"),
    "num_batch": (1, float("inf"), "a number of tokens"),
    "num_thread": (0, float("inf"), "a number of threads, or 0 for as many as fit"),
    "main_gpu": (0, float("inf"), "counted from 0"),
    "repeat_last_n": (-1, float("inf"), "a number of tokens, or -1 for the whole context"),
    "draft_num_predict": (0, float("inf"), "a number of tokens"),
}
_USUAL: dict[str, tuple[float, float, str]] = {
    "temperature": (0, 2, "above 2 most models write no sentences"),
    "repeat_penalty": (0.8, 1.5, "far from 1 a model avoids, or repeats, even common words"),
    "presence_penalty": (-2, 2, "it is usually between -2 and 2"),
    "frequency_penalty": (-2, 2, "it is usually between -2 and 2"),
}


def _ranges(subject: Subject) -> Iterator[Diagnostic]:
    for name, (value, node) in subject.parts.numbers.items():
        low, high, told = _RANGES.get(name, (value, value, ""))
        if not low <= value <= high:
            message = f"{name} is {told}, not {node.value.cleaned}"
            yield from found(Code.OUT_OF_RANGE, message, node.value.span)
            continue
        low, high, told = _USUAL.get(name, (value, value, ""))
        if not low <= value <= high:
            message = f"{name} {node.value.cleaned} is unusual"
            yield from found(Code.UNUSUAL_VALUE, message, node.value.span, told)


_SMALL = 512  # tokens
_STEP = 256  # tokens; the context of llama.cpp is a multiple of it


def _context(subject: Subject) -> Iterator[Diagnostic]:
    entry = subject.parts.numbers.get("num_ctx")
    if entry is None or not entry[0] > 0:
        return
    size, node = int(entry[0]), entry[1]
    if size < _SMALL:
        message = f"{size} tokens of context hold about {max(size * 3 // 4, 1)} words in all"
        hint = "template, SYSTEM, question and answer share them"
        yield from found(Code.TINY_CONTEXT, message, node.value.span, hint)
    elif size % _STEP:
        rounded = -(-size // _STEP) * _STEP
        message = f"num_ctx {size} is not a multiple of {_STEP}"
        hint = f"llama.cpp makes room for {rounded} all the same"
        yield from found(Code.ODD_CONTEXT, message, node.value.span, hint)
    keep = subject.parts.numbers.get("num_keep")
    if keep is not None and keep[0] >= size:
        label = Label(node.span, "all of the context")
        message = f"num_keep {int(keep[0])} leaves nothing to drop when the context is full"
        yield from found(Code.LARGE_KEEP, message, keep[1].value.span, labels=(label,))


def _no_answer(subject: Subject) -> Iterator[Diagnostic]:
    entry = subject.parts.numbers.get("num_predict")
    if entry is not None and entry[0] == 0:
        message = "num_predict 0 asks for an answer without tokens"
        hint = "some runtimes take it for no limit, which is -1"
        yield from found(Code.NO_ANSWER, message, entry[1].value.span, hint)


_PENALTIES = ("repeat_penalty", "presence_penalty", "frequency_penalty")


def _penalties(subject: Subject) -> Iterator[Diagnostic]:
    window = subject.parts.numbers.get("repeat_last_n")
    if window is None:
        return
    given = [
        (name, subject.parts.numbers[name][1])
        for name in _PENALTIES
        if name in subject.parts.numbers and subject.parts.numbers[name][0] != OPTIONS[name].default
    ]
    if window[0] == 0:
        label = Label(window[1].span, "nothing is looked back on")
        for name, node in given:
            message = f"{name} has no effect with repeat_last_n 0"
            yield from found(Code.IDLE_PENALTY, message, node.span, labels=(label,))
    elif not given and not _penalised_by_base(subject):
        message = "repeat_last_n has no effect without a penalty"
        hint = "repeat_penalty, presence_penalty or frequency_penalty is one"
        yield from found(Code.IDLE_WINDOW, message, window[1].span, hint)


def _penalised_by_base(subject: Subject) -> bool:
    """Whether the base model may bring a penalty of its own; one that is not here may."""
    for value, _ in subject.parts.sources:
        if subject.world.is_there(value.text):
            continue
        base = subject.world.base(value.text)
        if base is None or base.penalty:
            return True
    return False


_OF_THE_MACHINE = {
    "num_gpu": "graphics cards",
    "main_gpu": "graphics cards",
    "num_thread": "processors",
    "use_mmap": "memory and disk",
}


def _machine(subject: Subject) -> Iterator[Diagnostic]:
    for node in subject.parts.parameters:
        about = _OF_THE_MACHINE.get(node.name.text)
        if about is not None:
            message = f"{node.name.text} is about the {about} of one machine"
            hint = "the model takes it to every other; a request can set it, too"
            yield from found(Code.MACHINE_SETTING, message, node.span, hint)


def _imprecise(subject: Subject) -> Iterator[Diagnostic]:
    for name, (value, node) in subject.parts.numbers.items():
        if isinstance(value, int) and int(float(value)) != value:
            message = f"{name} {value} is stored as {int(float(value))}"
            hint = "whole numbers above 9007199254740992 lose digits"
            yield from found(Code.IMPRECISE_NUMBER, message, node.value.span, hint)


_ENDS = ("im_end", "eot_id", "end_of_turn", "<|end|>", "</s>", "eot", "end_of_text", "[/INST]")


def _no_stop(subject: Subject) -> Iterator[Diagnostic]:
    templates = subject.parts.of("template")
    if not templates or subject.parts.stops or subject.parts.of("parser", "renderer"):
        return
    bases = [subject.world.base(value.text) for value, _ in subject.parts.sources]
    if any(base is not None and base.stops for base in bases):
        return
    value = templates[-1].value
    ends = [match for match in MARKER.finditer(value.text) if any(end in match[0] for end in _ENDS)]
    if not ends:
        return
    at = value.span.text.find(ends[0][0])
    start = value.span.start + max(at, 0)
    span = subject.source.span(start, start + len(ends[0][0])) if at >= 0 else value.span
    message = f"the template ends turns with {short(ends[0][0])}, and no stop does"
    hint = f"PARAMETER stop {ends[0][0]} is safe where the weights do not know it as an end"
    yield from found(Code.NO_STOP, message, span, hint)


def _idle_draft(subject: Subject) -> Iterator[Diagnostic]:
    entry = subject.parts.numbers.get("draft_num_predict")
    if entry is None or subject.parts.of("draft"):
        return
    bases = [subject.world.base(value.text) for value, _ in subject.parts.sources]
    if bases and all(base is not None and not base.draft for base in bases):
        message = "draft_num_predict has no effect without a DRAFT"
        yield from found(Code.IDLE_DRAFT, message, entry[1].span)


RULES = (
    Rule(
        Code.IDLE_SAMPLER,
        "A parameter tunes a choice that is never made.",
        "With temperature 0 or top_k 1 the likeliest token is always taken, and the others, which"
        " choose among several, have nothing to choose from.",
        "FROM llama3.2:3b\nPARAMETER temperature 0\nPARAMETER top_p 0.5\n",
        "FROM llama3.2:3b\nPARAMETER temperature 0\n",
        check=_idle_samplers,
    ),
    Rule(
        Code.OUT_OF_RANGE,
        "A number is none that the parameter can have.",
        "It is stored, as numbers are not looked at before a model runs; a runtime then refuses it"
        " or takes another.",
        "FROM llama3.2:3b\nPARAMETER top_p 95\n",
        "FROM llama3.2:3b\nPARAMETER top_p 0.95\n",
        check=_ranges,
    ),
    Rule(
        Code.UNUSUAL_VALUE,
        "A number is far from what is usual.",
        "It may well be meant. Mostly a decimal point is missing.",
        "FROM llama3.2:3b\nPARAMETER temperature 7\n",
        "FROM llama3.2:3b\nPARAMETER temperature 0.7\n",
    ),
    Rule(
        Code.NO_ANSWER,
        "num_predict is 0.",
        "That is an answer without a single token. -1 means: until it ends.",
        "FROM llama3.2:3b\nPARAMETER num_predict 0\n",
        "FROM llama3.2:3b\nPARAMETER num_predict -1\n",
        check=_no_answer,
    ),
    Rule(
        Code.TINY_CONTEXT,
        "num_ctx is so small that hardly a question fits.",
        "It is counted in tokens, of which a word has one or two, not in thousands.",
        "FROM llama3.2:3b\nPARAMETER num_ctx 8\n",
        "FROM llama3.2:3b\nPARAMETER num_ctx 8192\n",
        check=_context,
    ),
    Rule(
        Code.ODD_CONTEXT,
        "num_ctx is not a multiple of 256.",
        "llama.cpp reserves memory in steps of 256 tokens, so the rest is paid for and not used.",
        "FROM llama3.2:3b\nPARAMETER num_ctx 5000\n",
        "FROM llama3.2:3b\nPARAMETER num_ctx 5120\n",
    ),
    Rule(
        Code.IDLE_PENALTY,
        "A penalty looks back on no tokens.",
        "repeat_last_n is how many tokens penalties look back on; with 0 they see none.",
        "FROM llama3.2:3b\nPARAMETER repeat_penalty 1.1\nPARAMETER repeat_last_n 0\n",
        "FROM llama3.2:3b\nPARAMETER repeat_penalty 1.1\nPARAMETER repeat_last_n 64\n",
        check=_penalties,
    ),
    Rule(
        Code.IDLE_WINDOW,
        "repeat_last_n is set, and no penalty is.",
        "All penalties are off by default, so nothing looks back.",
        "FROM ./parrot.gguf\nPARAMETER repeat_last_n 128\n",
        "FROM ./parrot.gguf\nPARAMETER repeat_last_n 128\nPARAMETER repeat_penalty 1.1\n",
        files={"parrot.gguf": ""},
    ),
    Rule(
        Code.MACHINE_SETTING,
        "A parameter is about the machine, not about the model.",
        "Threads, graphics cards and memory differ where the model is used. Without it the runtime"
        " looks for itself.",
        "FROM llama3.2:3b\nPARAMETER num_thread 8\n",
        "FROM llama3.2:3b\n",
        check=_machine,
    ),
    Rule(
        Code.LARGE_KEEP,
        "num_keep is as large as the context.",
        "That many first tokens stay when the context is full; if that is all of them, there is no"
        " room for the next one.",
        "FROM llama3.2:3b\nPARAMETER num_ctx 4096\nPARAMETER num_keep 4096\n",
        "FROM llama3.2:3b\nPARAMETER num_ctx 4096\nPARAMETER num_keep 256\n",
    ),
    Rule(
        Code.IMPRECISE_NUMBER,
        "A whole number is too large to be stored exactly.",
        "Parameters are stored as JSON, whose numbers are 64-bit floats.",
        "FROM llama3.2:3b\nPARAMETER seed 9007199254740993\n",
        "FROM llama3.2:3b\nPARAMETER seed 42\n",
        check=_imprecise,
    ),
    Rule(
        Code.NO_STOP,
        "A template ends turns with a marker that no stop names.",
        "Most weights know their own end marker. Where they do not, the model goes on, and plays"
        " both sides.",
        'FROM ./parrot.gguf\nTEMPLATE "<|im_start|>user\n{{ .Prompt }}<|im_end|>\n"\n',
        'FROM ./parrot.gguf\nTEMPLATE "<|im_start|>user\n{{ .Prompt }}<|im_end|>\n"\n'
        "PARAMETER stop <|im_end|>\n",
        check=_no_stop,
    ),
    Rule(
        Code.IDLE_DRAFT,
        "draft_num_predict is set, and there is no draft model.",
        "It says how far a small model guesses ahead; without one nobody guesses.",
        "FROM llama3.2:3b\nPARAMETER draft_num_predict 8\n",
        "FROM llama3.2:3b\nDRAFT ./small.gguf\nPARAMETER draft_num_predict 8\n",
        check=_idle_draft,
        base=Base(),
    ),
)
