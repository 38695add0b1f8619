"""The Python client of Ollama, unchanged, with a real model behind it."""

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers import Running, running

from mbuild.compiler.create import Order, create
from mbuild.runtime.llama import Llama
from mbuild.runtime.service import Settings
from mbuild.store.name import Name
from mbuild.store.store import Store

if TYPE_CHECKING:
    from ollama import Client

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(
        find_spec("llama_cpp") is None or find_spec("ollama") is None,
        reason="pip install 'mbuild-modelfile[run,test]'",
    ),
]

FRANCE = [{"role": "user", "content": "What is the capital of France?"}]
KID = "You are a 5-year old kid."
COLD = {"temperature": 0, "num_predict": 32}


@pytest.fixture(scope="module")
def up(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("clients")
    store = Store(folder / "models")
    data = f"FROM {smollm2}\nSYSTEM {KID}\nPARAMETER num_ctx 1024\n".encode()
    order = Order(Name.parse("smol"), "Modelfile", data, str(folder))
    assert create(order, store, lambda _: None)[0] is not None
    with running(store, start=Llama, settings=Settings(parallel=2)) as found:
        yield found


@pytest.fixture
def client(up: Running) -> "Iterator[Client]":
    from ollama import Client

    with Client(host=up.url) as made:
        yield made


def test_chat(client: "Client") -> None:
    answer = client.chat("smol", FRANCE, options=COLD)
    assert "Paris" in (answer.message.content or "")
    assert answer.message.role == "assistant"
    assert answer.done
    assert answer.prompt_eval_count
    assert answer.eval_count
    assert answer.total_duration
    assert answer.eval_duration


def test_a_streamed_chat_says_the_same(client: "Client") -> None:
    whole = client.chat("smol", FRANCE, options=COLD).message.content
    parts = list(client.chat("smol", FRANCE, options=COLD, stream=True))
    assert "".join(part.message.content or "" for part in parts) == whole
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]


def test_generate_and_what_follows_in_its_context(client: "Client") -> None:
    first = client.generate("smol", "My name is Kim.", options=COLD)
    assert first.response
    assert first.context
    second = client.generate("smol", "What is my name?", context=first.context, options=COLD)
    assert second.prompt_eval_count
    assert second.prompt_eval_count > (first.prompt_eval_count or 0)


def test_an_answer_by_a_schema(client: "Client") -> None:
    schema = {"type": "object", "properties": {"city": {"enum": ["Paris"]}}, "required": ["city"]}
    answer = client.chat("smol", FRANCE, format=schema, options=COLD)
    assert json.loads(answer.message.content or "") == {"city": "Paris"}


def test_vectors(client: "Client") -> None:
    found = client.embed("smol", ["a cat", "a kitten", "a tax return"]).embeddings
    assert len(found) == 3
    assert sum(x * x for x in found[0]) == pytest.approx(1, abs=1e-3)
    assert client.embeddings("smol", "a cat").embedding


def test_log_probabilities(client: "Client") -> None:
    answer = client.chat("smol", FRANCE, options=COLD, logprobs=True, top_logprobs=2)
    assert answer.logprobs
    assert all(each.logprob <= 0.001 for each in answer.logprobs)
    assert all(len(each.top_logprobs or ()) == 2 for each in answer.logprobs)


def test_list_show_copy_delete(client: "Client") -> None:
    assert [model.model for model in client.list().models] == ["smol:latest"]
    shown = client.show("smol")
    assert shown.modelinfo
    assert shown.modelinfo["general.architecture"] == "llama"
    assert shown.capabilities
    assert "completion" in shown.capabilities
    assert client.copy("smol", "other").status == "success"
    assert client.delete("other").status == "success"
    assert len(client.list().models) == 1


def test_create(client: "Client") -> None:
    steps = client.create("kid", from_="smol", system="You are Kim.", stream=True)
    assert [step.status for step in steps][-1] == "success"
    assert client.show("kid").modelfile
    assert client.chat("kid", FRANCE, options=COLD).message.content
    client.delete("kid")


def test_a_file_is_uploaded_and_becomes_a_model(client: "Client", smollm2: Path) -> None:
    digest = client.create_blob(smollm2)
    made = client.create("filed", files={"smol.gguf": digest})
    assert made.status == "success"
    client.delete("filed")


def test_errors(client: "Client") -> None:
    from ollama import ResponseError

    with pytest.raises(ResponseError, match="model 'no' not found") as caught:
        client.chat("no", FRANCE)
    assert caught.value.status_code == 404
    with pytest.raises(ResponseError, match="does not support thinking"):
        client.chat("smol", FRANCE, think=True)
    with pytest.raises(ResponseError) as late:
        client.pull("no")
    assert late.value.status_code == 501


def test_ps_shows_what_is_loaded_and_an_empty_prompt_unloads_it(client: "Client") -> None:
    client.generate("smol", "")
    (model,) = client.ps().models
    assert (model.name, model.context_length) == ("smol:latest", 1024)
    assert model.expires_at
    client.generate("smol", "", keep_alive=0)
    assert client.ps().models == []


def test_an_engine_killed_amid_an_answer_is_an_error_and_the_next_works(
    up: Running, client: "Client"
) -> None:
    from ollama import ResponseError

    stream = client.chat("smol", FRANCE, stream=True, options={"num_predict": 500})
    next(stream)
    seat = next(iter(up.pool._seats.values()))
    assert isinstance(seat.engine, Llama)
    os.kill(seat.engine.process, signal.SIGKILL)
    with pytest.raises(ResponseError, match="model runner has unexpectedly stopped"):
        list(stream)
    assert "Paris" in (client.chat("smol", FRANCE, options=COLD).message.content or "")


def test_eight_clients_at_once_get_what_one_gets(client: "Client") -> None:
    def ask(_: int) -> str:
        return client.chat("smol", FRANCE, options=COLD).message.content or ""

    with ThreadPoolExecutor(8) as threads:
        answers = set(threads.map(ask, range(8)))
    assert all("Paris" in answer for answer in answers)


def test_an_engine_killed_while_idle_is_not_noticed(up: Running, client: "Client") -> None:
    client.chat("smol", FRANCE, options=COLD)
    seat = next(iter(up.pool._seats.values()))
    assert isinstance(seat.engine, Llama)
    os.kill(seat.engine.process, signal.SIGKILL)
    # Only what has ended before the question can go unnoticed.
    os.waitid(os.P_PID, seat.engine.process, os.WEXITED | os.WNOWAIT)
    assert "Paris" in (client.chat("smol", FRANCE, options=COLD).message.content or "")
