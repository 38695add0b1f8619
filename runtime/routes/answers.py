"""``/api/generate`` and ``/api/chat``: from a request to the lines of its answer.

Source: the specification of the native API, sections 3 to 8.
"""

import secrets
import string
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mbuild.runtime.answer import Dropped, Event, Session
from mbuild.runtime.api.ollama import Chat, Generate, Head, Said
from mbuild.runtime.engine import Finished, Logprob, Piece
from mbuild.runtime.model import Unanswering
from mbuild.runtime.pool import GoneAway, Ticket
from mbuild.runtime.prompt import TemplateRefused
from mbuild.runtime.service import Opened, Refused, Service
from mbuild.runtime.streaming import Job, Made, Opening
from mbuild.runtime.thinking import Thought
from mbuild.runtime.tools import Caller, tag_of_jinja

if TYPE_CHECKING:
    from mbuild.runtime.grammar import Format

_LETTERS = string.ascii_lowercase + string.digits
_NO_IMAGES = "image input is not supported"


def generate(service: Service, asked: Generate) -> Job:
    """The answer to a request of /api/generate."""
    return _Answering(service, asked, Head(asked.model, chat=False)).job()


def chat(service: Service, asked: Chat) -> Job:
    """The answer to a request of /api/chat.

    Raises:
        Refused: it names no model.
    """
    if not asked.model:
        raise Refused(400, "model is required")
    return _Answering(service, asked, Head(asked.model, chat=True)).job()


@dataclass(slots=True)
class _Answering:
    """One request, being answered in a thread of its own."""

    service: Service
    asked: Generate | Chat
    head: Head
    session: Session | None = None

    def job(self) -> Job:
        ticket = Ticket()

        def cancel() -> None:
            ticket.cancel()
            if self.session is not None:
                self.session.cancel()

        return Job(self._made(ticket), cancel)

    def _made(self, ticket: Ticket) -> Made:
        service, asked = self.service, self.asked
        opened = self._opened()
        _refuse(asked)
        if asked.debug:
            yield Opening(whole=True)
            yield self._rendered(opened)
            return
        if _asks_nothing(asked):
            yield Opening(whole=True)
            yield self._only(opened, ticket)
            return
        if isinstance(asked, Generate) and asked.template is not None and not asked.raw:
            opened = self._with_template(opened, asked.template)
        with (
            service.session(opened, asked.keep_alive, ticket) as self.session,
            closing(_lines(self, opened, self.session, ticket)) as lines,
        ):
            yield from lines

    def now(self) -> int:
        return self.service.clock()

    def events(self, opened: Opened, session: Session) -> Generator[Event]:
        """The answer itself."""
        asked = self.asked
        form = _form(asked.format)
        # As in the reference, only a prompt that we have written ourselves can be cut.
        cut = asked.truncate and asked.shift and opened.model.template is not None
        wanted: dict[str, Any] = {"form": form, "shift": asked.shift, "cut": cut}
        wanted["logprobs"] = asked.top_logprobs if asked.logprobs else -1
        if isinstance(asked, Chat):
            return session.chat(
                asked.messages,
                asked.options,
                tools=asked.tools,
                think=asked.think,
                truncate=asked.truncate,
                **wanted,
            )
        if asked.raw:
            wanted["cut"] = asked.truncate and asked.shift
            return session.complete(asked.prompt, asked.options, **wanted)
        if asked.suffix:
            return session.fill_in(asked.prompt, asked.suffix, asked.options, **wanted)
        return session.ask(
            asked.prompt,
            asked.options,
            system=asked.system,
            context=asked.context,
            think=asked.think,
            truncate=asked.truncate,
            **wanted,
        )

    def _opened(self) -> Opened:
        try:
            return self.service.open(self.asked.model)
        except Unanswering as error:
            if not error.embeds:
                raise
            what = "chat" if self.head.chat else "generate"
            raise Refused(400, f'"{self.asked.model}" does not support {what}') from None

    def _with_template(self, opened: Opened, text: str) -> Opened:
        model = replace(opened.model, template=text or None)
        try:
            return Opened(model, self.service.renderer(model))
        except TemplateRefused as refused:
            raise Refused(500, refused.reason) from None

    def _only(self, opened: Opened, ticket: Ticket) -> dict[str, Any]:
        """Load the model, or have it unloaded."""
        if self.asked.keep_alive == 0:
            self.service.pool.unload(opened.model.weights)
            return self.head.only(self.now(), "unload")
        with self.service.session(opened, self.asked.keep_alive, ticket) as session:
            session.warm(self.asked.options)
        return self.head.only(self.now(), "load")

    def _rendered(self, opened: Opened) -> dict[str, Any]:
        """The prompt, instead of an answer to it."""
        with self.service.session(opened, None, Ticket()) as session:
            if isinstance(self.asked, Chat):
                text = session.written(
                    self.asked.messages, tools=self.asked.tools, think=self.asked.think
                ).text
            else:
                text = session.question(
                    self.asked.prompt, system=self.asked.system, think=self.asked.think
                ).text
        shown = {"_debug_info": {"rendered_template": text}}
        return self.head.line(self.now(), Said(), **shown)


def _lines(answering: _Answering, opened: Opened, session: Session, ticket: Ticket) -> Made:
    """The opening, and the lines of an answer; one line if it is not to be streamed."""
    head, streams = answering.head, answering.asked.stream
    ears = _Ears(_caller(opened, answering.asked))
    lost: Dropped | None = None
    gathered, begun = Said(), False
    odds: list[dict[str, Any]] = []
    with closing(answering.events(opened, session)) as events:
        for event in events:
            if ticket.cancelled:
                raise GoneAway
            if isinstance(event, Dropped):
                lost = event
                continue
            if not begun:
                begun = True
                yield Opening(_headers(lost), whole=not streams)
            said = ears.hear(event)
            odds += likelihoods(event, answering.asked.top_logprobs)
            gathered = said if streams else gathered + said
            more = {"logprobs": odds} if odds else {}
            if isinstance(event, Finished):
                context = _context(answering.asked, session, ears.raw)
                line = head.last(answering.now(), gathered, event, context)
                yield {**line, **more, **_told(lost)}
            elif streams and (said != Said() or odds):
                odds = []
                yield head.line(answering.now(), said, **more)


def likelihoods(event: Event, top: int) -> list[dict[str, Any]]:
    """The ``logprobs`` of what *event* says, each with the *top* likeliest in its place."""
    if not isinstance(event, Piece):
        return []
    shown = []
    for each in event.logprobs:
        others = [_odds(other) for other in each.top[:top]]
        shown.append({**_odds(each), **({"top_logprobs": others} if others else {})})
    return shown


def _odds(each: Logprob) -> dict[str, Any]:
    text = each.data.decode("utf-8", "replace")
    return {"token": text, "logprob": each.logprob, "bytes": list(each.data)}


class _Ears:
    """Tells apart what an answer consists of."""

    def __init__(self, caller: Caller | None) -> None:
        self._caller = caller
        self.raw = ""

    def hear(self, event: Event) -> Said:
        """What of the answer *event* makes known."""
        match event:
            case Thought(text):
                self.raw += text
                return Said(thinking=text)
            case Piece(text):
                self.raw += text
                return self._answer(text)
            case Finished():
                return Said(self._caller.end() if self._caller else "")
        return Said()

    def _answer(self, text: str) -> Said:
        if self._caller is None:
            return Said(text)
        heard = self._caller.feed(text)
        return Said(heard.text, calls=tuple(call.to_json() for call in heard.calls))


def _refuse(asked: Generate | Chat) -> None:
    """Refuse what cannot be had.

    Raises:
        Refused: always why.
    """
    if isinstance(asked, Chat):
        images = any(message.images for message in asked.messages)
    else:
        images = bool(asked.images)
        if asked.raw and (asked.template or asked.system or asked.context):
            raise Refused(400, "raw mode does not support template, system, or context")
    if images:
        raise Refused(400, _NO_IMAGES)


def _asks_nothing(asked: Generate | Chat) -> bool:
    if isinstance(asked, Chat):
        return not asked.messages
    return not asked.prompt and not asked.suffix


def _form(wanted: Any) -> "Format | None":
    """What the answer is to look like; None: as the model's own schema has it."""
    if wanted is None or wanted == "":
        return None
    if wanted == "json":
        return "json"
    if isinstance(wanted, dict):
        return wanted
    text = f'invalid format: {wanted!r}; expected "json" or a valid JSON Schema object'
    raise Refused(500, text.replace("'", '"'))


def _caller(opened: Opened, asked: Generate | Chat) -> Caller | None:
    """What finds calls in the answer, if there are tools to be called."""
    if isinstance(asked, Generate) or not asked.tools:
        return None
    functions: Sequence[Any] = [tool.get("function") for tool in asked.tools]
    names = [str(each.get("name", "")) for each in functions if isinstance(each, dict)]
    return Caller(_tag(opened), names, _call_id)


def _tag(opened: Opened) -> str:
    text = opened.model.template
    if text is None:
        return tag_of_jinja(opened.model.chat_template or "")
    # Imported here: hardly a request has tools.
    from mbuild.compiler.template.capabilities import tool_call_tag
    from mbuild.compiler.template.reading import read

    return tool_call_tag(read(text))


def _call_id() -> str:
    return "call_" + "".join(secrets.choice(_LETTERS) for _ in range(8))


def _context(asked: Generate | Chat, session: Session, said: str) -> Sequence[int] | None:
    """The tokens of the prompt and the answer, which the next request may send."""
    if isinstance(asked, Chat) or asked.raw:
        return None
    return session.context(said)


def _headers(lost: Dropped | None) -> dict[str, str]:
    if lost is None:
        return {}
    return {"x-mbuild-dropped": f"messages={len(lost.messages)}, tokens={lost.tokens}"}


def _told(lost: Dropped | None) -> dict[str, Any]:
    """What was left out of the prompt; a field of ours."""
    if lost is None:
        return {}
    dropped = {"dropped_messages": len(lost.messages), "dropped_tokens": lost.tokens}
    return {"mbuild": {**dropped, "num_ctx": lost.num_ctx}}
