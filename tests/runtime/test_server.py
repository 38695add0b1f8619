"""The server, over a socket, with parrots for engines."""

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from parrots import build
from servers import ABLE, Running, kid, running, until

from mbuild.runtime.pool import Limits
from mbuild.runtime.service import Settings
from mbuild.store.name import Name

HELLO = hashlib.sha256(b"hello").hexdigest()
WHY = {"role": "user", "content": "why"}

TOOL = {
    "type": "function",
    "function": {"name": "add", "parameters": {"type": "object", "properties": {}}},
}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("server")
    kid(folder)
    with running(build(folder, ABLE + "PARAMETER num_ctx 512\n", "able")) as found:
        yield found


def said(lines: list[dict[str, Any]]) -> str:
    return "".join(
        line["message"]["content"] if "message" in line else line["response"] for line in lines
    )


# Signs of life.


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/", b"Ollama is running"),
        ("/api/version", b'{"version":"0.32.7"}'),
        ("/api/status", b'{"cloud":{"disabled":true,"source":"config"}}'),
    ],
)
def test_signs_of_life(up: Running, path: str, body: bytes) -> None:
    assert up.get(path).data == body
    assert up.send("HEAD", "/").status == 200


def test_health_says_that_it_is_mbuild_and_on_which_store(up: Running) -> None:
    health = up.get("/healthz").json
    assert health["mbuild"] == "0"
    assert health["store"] == up.store.root


def test_metrics_count_requests_and_tokens(up: Running) -> None:
    up.post("/api/generate", {"model": "kid", "prompt": "why", "stream": False})
    text = up.get("/metrics").data.decode()
    assert 'mbuild_requests_total{path="/api/generate",status="200"}' in text
    assert "# TYPE mbuild_generated_tokens_total counter" in text
    assert "mbuild_engines_loaded 1" in text


def test_the_openapi_document_names_every_path_and_the_page_needs_nothing_else(
    up: Running,
) -> None:
    document = up.get("/openapi.json").json
    assert document["paths"]["/api/chat"]["post"]["requestBody"]
    assert "messages" in document["components"]["schemas"]["Chat"]["properties"]
    page = up.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert b"/api/embed" in page.data
    assert b"<script" not in page.data
    assert b"http:" not in page.data


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/nope", 404, b"404 page not found"),
        ("GET", "/api/chat", 405, b"405 method not allowed"),
        ("GET", "/api/tags/", 301, b""),
        ("POST", "/api/show/", 307, b""),
    ],
)
def test_wrong_paths_and_methods(
    up: Running, method: str, path: str, status: int, body: bytes
) -> None:
    answered = up.send(method, path, b"{}")
    assert (answered.status, answered.data) == (status, body)


# Answers.


def test_a_chat_streams_lines_and_ends_with_what_it_cost(up: Running) -> None:
    answered = up.post("/api/chat", {"model": "kid", "messages": [WHY]})
    assert answered.headers["content-type"] == "application/x-ndjson"
    assert b"\n\n" not in answered.data
    *lines, last = answered.lines
    assert said(lines) == "Because the sky is blue"
    assert [line["done"] for line in lines] == [False] * len(lines)
    assert (last["done"], last["done_reason"], last["eval_count"]) == (True, "stop", 5)
    assert last["message"] == {"role": "assistant", "content": ""}
    assert all(isinstance(last[key], int) for key in last if key.endswith("_duration"))
    assert up.aviary.prompts[-1] == "system:You are a kid.\nuser:why\n"


def test_generate_answers_whole_if_it_is_not_to_stream(up: Running) -> None:
    answered = up.post("/api/generate", {"model": "kid", "prompt": "why", "stream": False})
    assert answered.headers["content-type"] == "application/json; charset=utf-8"
    assert answered.json["response"] == "Because the sky is blue"
    prompt = "system:You are a kid.\nuser:why\nBecause the sky is blue"
    assert answered.json["context"] == list(map(ord, prompt))
    assert answered.json["model"] == "kid"


@pytest.mark.parametrize(
    ("body", "prompt"),
    [
        pytest.param({"system": "Be brief."}, "system:Be brief.\nuser:why\n", id="system"),
        pytest.param({"raw": True}, "why", id="raw"),
        pytest.param({"template": "<{{ .Prompt }}>"}, "<why>", id="template"),
        pytest.param({"context": [72, 105]}, "Hisystem:You are a kid.\nuser:why\n", id="context"),
    ],
)
def test_how_a_prompt_is_made(up: Running, body: dict[str, Any], prompt: str) -> None:
    answered = up.post("/api/generate", {"model": "kid", "prompt": "why", "stream": False, **body})
    assert answered.status == 200
    assert up.aviary.prompts[-1].rstrip("\n") == prompt.rstrip("\n")


def test_what_is_missing_between_two_texts_is_asked_for(up: Running) -> None:
    up.post("/api/generate", {"model": "able", "prompt": "a", "suffix": "b"})
    assert up.aviary.prompts[-1] == "<pre>a<suf>b<mid>"


def test_the_prompt_can_be_had_instead_of_an_answer(up: Running) -> None:
    asked = {"model": "kid", "messages": [WHY], "_debug_render_only": True}
    found = up.post("/api/chat", asked).json
    assert found["_debug_info"]["rendered_template"] == "system:You are a kid.\nuser:why\n"
    assert up.post("/api/render", asked).json["prompt"] == "system:You are a kid.\nuser:why\n"


def test_tokens_and_what_they_stand_for(up: Running) -> None:
    found = up.post("/api/tokenize", {"model": "kid", "text": "why"}).json
    assert (found["tokens"], found["pieces"]) == ([119, 104, 121], ["w", "h", "y"])


def test_thoughts_and_calls_come_apart_from_the_answer(tmp_path: Path) -> None:
    script = '<t>hm</t>Well. <call>add {"a": 1}'
    with running(build(tmp_path, ABLE, "able"), script=script) as up:
        asked = {"model": "able", "messages": [WHY], "tools": [TOOL]}
        whole = up.post("/api/chat", {**asked, "stream": False}).json
        lines = up.post("/api/chat", asked).lines
    message = whole["message"]
    assert (message["thinking"], message["content"]) == ("hm", "Well. ")
    (call,) = message["tool_calls"]
    assert call["function"] == {"index": 0, "name": "add", "arguments": {"a": 1}}
    assert call["id"].startswith("call_")
    assert len(call["id"]) == 13
    assert sum(len(line["message"].get("tool_calls", ())) for line in lines) == 1
    assert whole["done_reason"] == "stop"


def test_loading_and_unloading_are_answered_by_one_object(up: Running) -> None:
    loaded = up.post("/api/generate", {"model": "kid", "keep_alive": "1h"})
    assert loaded.headers["content-type"] == "application/json; charset=utf-8"
    assert (loaded.json["done"], loaded.json["done_reason"]) == (True, "load")
    (found,) = [each for each in up.get("/api/ps").json["models"] if each["name"] == "kid:latest"]
    assert found["context_length"] == 512
    assert found["expires_at"].endswith("Z")
    gone = up.post("/api/chat", {"model": "kid", "messages": [], "keep_alive": 0})
    assert gone.json["message"] == {"role": "assistant", "content": ""}
    assert gone.json["done_reason"] == "unload"
    assert "kid:latest" not in up.get("/api/ps").data.decode()


def test_what_is_left_out_is_told(up: Running) -> None:
    long = [{"role": "user", "content": each * 300} for each in "ab"]
    asked = {"model": "kid", "messages": long, "stream": False}
    answered = up.post("/api/chat", asked)
    assert answered.headers["x-mbuild-dropped"] == "messages=1, tokens=0"
    assert answered.json["mbuild"] == {"dropped_messages": 1, "dropped_tokens": 0, "num_ctx": 512}
    for body, headers in (({"truncate": False}, {}), ({}, {"X-Mbuild-Truncate": "refuse"})):
        refused = up.post("/api/chat", {**asked, **body}, headers)
        assert refused.status == 400
        assert refused.error.startswith("the prompt is longer than the context length")
        assert refused.json["prompt_tokens"] > refused.json["num_ctx"] == 512


def test_a_raw_prompt_is_cut_in_the_middle_and_that_is_told(up: Running) -> None:
    asked = {"model": "kid", "prompt": "x" * 600, "raw": True, "stream": False}
    answered = up.post("/api/generate", asked)
    assert answered.json["mbuild"]["dropped_tokens"] > 88
    assert up.post("/api/generate", {**asked, "truncate": False}).status == 400


def test_a_new_build_is_served_by_the_next_request(tmp_path: Path) -> None:
    with running(kid(tmp_path)) as up:
        up.post("/api/chat", {"model": "kid", "messages": [WHY]})
        build(tmp_path, "SYSTEM Now old.\nPARAMETER num_ctx 512\n")
        up.post("/api/chat", {"model": "kid", "messages": [WHY]})
        assert up.aviary.prompts[-1] == "system:Now old.\nuser:why\n"
        assert len(up.aviary.parrots) == 1  # Nothing was loaded again.


def test_the_settings_decide_what_models_and_requests_do_not_say(tmp_path: Path) -> None:
    with running(kid(tmp_path, ""), settings=Settings(parallel=3, num_ctx=128)) as up:
        up.post("/api/generate", {"model": "kid"})
        options = up.aviary.parrots[0].load.options
        assert (options.num_ctx, options.parallel) == (128, 3)


# Errors.


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        ("generate", {"model": "no"}, 404, "model 'no' not found"),
        ("generate", {}, 404, "model '' not found"),
        ("generate", {"model": "a b"}, 400, "invalid model name"),
        ("generate", {"model": "../../etc/passwd"}, 400, "invalid model name"),
        ("chat", {"messages": [WHY]}, 400, "model is required"),
        ("chat", {"model": "no", "messages": [WHY]}, 404, "model 'no' not found"),
        ("show", {"model": "no"}, 404, "model 'no:latest' not found"),
        ("show", {}, 400, "model is required"),
        ("embed", {"model": "no"}, 404, 'model "no" not found, try pulling it first'),
        ("embed", {}, 404, "model '' not found"),
        ("embed", {"model": "kid", "input": 1}, 400, "invalid input type"),
        ("embed", {"model": "kid", "input": [1]}, 400, "invalid input type"),
        ("embeddings", {}, 400, "model is required"),
        ("copy", {"source": "no", "destination": "x"}, 404, 'model "no" not found'),
        ("copy", {"source": "", "destination": "x"}, 400, 'source "" is invalid'),
        ("copy", {"source": "kid", "destination": "/"}, 400, 'destination "/" is invalid'),
        ("create", {"model": "x"}, 400, "neither 'from' or 'files' was specified"),
        ("create", {"model": "a b", "from": "kid"}, 400, "invalid model name"),
        ("create", {"model": "x", "from": "/etc/passwd"}, 400, "invalid model name"),
        ("create", {"model": "x", "files": {"/a": "x"}}, 400, "file path must be relative"),
        ("create", {"model": "x", "files": {"a": "x"}}, 400, "invalid digest format"),
        ("pull", {"model": "x"}, 501, "pulling and pushing models is not there yet"),
        ("push", {}, 400, "model is required"),
        ("me", {}, 401, "unauthorized"),
        (
            "generate",
            {"model": "kid", "prompt": "x", "raw": True, "system": "y"},
            400,
            "raw mode does not support template, system, or context",
        ),
        (
            "chat",
            {"model": "kid", "messages": [WHY], "think": True},
            400,
            '"kid" does not support thinking',
        ),
        (
            "chat",
            {"model": "kid", "messages": [WHY], "tools": [TOOL]},
            400,
            "registry.ollama.ai/library/kid:latest does not support tools",
        ),
        (
            "generate",
            {"model": "kid", "prompt": "a", "suffix": "b"},
            400,
            "registry.ollama.ai/library/kid:latest does not support insert",
        ),
        (
            "generate",
            {"model": "kid", "prompt": "a", "options": {"num_ctx": "8"}},
            500,
            'option "num_ctx" must be of type integer',
        ),
        (
            "generate",
            {"model": "kid", "prompt": "a", "format": "xml"},
            500,
            'invalid format: "xml"; expected "json" or a valid JSON Schema object',
        ),
        (
            "generate",
            {"model": "kid", "prompt": "a", "context": [-1]},
            400,
            "context holds a number that is no token, from 0 to 1114111",
        ),
    ],
)
def test_errors_have_the_references_status_and_words(
    up: Running, path: str, body: dict[str, Any], status: int, error: str
) -> None:
    answered = up.post(f"/api/{path}", body)
    assert (answered.status, answered.error) == (status, error)
    assert answered.headers["content-type"] == "application/json; charset=utf-8"
    assert up.logged == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"", 400, id="nothing"),
        pytest.param(b"{", 400, id="half"),
        pytest.param(b"\xff\xfe", 400, id="no UTF-8"),
        pytest.param(b"[" * 100_000, 400, id="deep"),
        pytest.param(b'{"model": 5}', 400, id="a wrong type"),
        pytest.param(b'{"model": "kid", "options": {"num_ctx": 1e99}}', 400, id="a huge number"),
        pytest.param(b'{"model": "kid", "prompt": "a", "template": "{{"}', 500, id="a template"),
        pytest.param(b'{"model": "kid", "prompt": "a", "format": {"type": 1}}', 400, id="a schema"),
        pytest.param(b'{"model": "kid", "prompt": "a", "images": ["!"]}', 400, id="an image"),
    ],
)
def test_bad_requests_get_an_error_and_the_next_one_an_answer(
    up: Running, body: bytes, status: int
) -> None:
    answered = up.post("/api/generate", body)
    assert (answered.status, bool(answered.error)) == (status, True)
    assert up.post("/api/generate", {"model": "kid", "prompt": "why"}).status == 200
    assert up.logged == []


def test_a_body_larger_than_allowed_is_refused(tmp_path: Path) -> None:
    with running(kid(tmp_path), settings=Settings(largest_body=1000)) as up:
        answered = up.post("/api/chat", {"model": "kid", "messages": [WHY] * 1000})
        assert (answered.status, answered.error) == (413, "a request body has at most 1000 bytes")


def test_ten_thousand_messages_are_answered(up: Running) -> None:
    asked = {"model": "able", "messages": [WHY] * 10_000, "stream": False}
    answered = up.post("/api/chat", asked).json
    # The same role many times over is said once: "user:why", then a blank line and "why".
    assert answered["mbuild"]["dropped_messages"] == 10_000 - 101


def test_a_header_without_end_is_refused(up: Running) -> None:
    with closing(socket.create_connection(("127.0.0.1", up.port), timeout=60)) as made:
        made.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 200_000)
        assert b"400" in made.recv(100)


def test_an_engine_that_dies_is_an_error_and_the_next_request_works(tmp_path: Path) -> None:
    with running(kid(tmp_path), script="doomed") as up:
        answered = up.post("/api/generate", {"model": "kid", "prompt": "why"})
        assert answered.status == 500
        assert answered.error.startswith("model runner has unexpectedly stopped")
        up.aviary.script = "Here."
        assert said(up.post("/api/generate", {"model": "kid", "prompt": "why"}).lines) == "Here."


def test_too_many_requests_are_told_so(tmp_path: Path) -> None:
    with running(kid(tmp_path), script="endless", most=1) as up, closing(up.connect()) as first:
        first.request("POST", "/api/generate", json.dumps({"model": "kid", "prompt": "a"}))
        response = first.getresponse()
        assert response.readline()
        refused = up.post("/api/generate", {"model": "kid", "prompt": "b"})
        assert refused.status == 503
        assert refused.error.startswith("server busy, please try again.  maximum pending")
        response.close()


def test_an_answer_ends_when_its_client_goes_away(tmp_path: Path) -> None:
    with running(kid(tmp_path), script="endless") as up:
        with closing(up.connect()) as client:
            client.request("POST", "/api/generate", json.dumps({"model": "kid", "prompt": "a"}))
            response = client.getresponse()
            assert json.loads(response.readline())["response"] == "well"
            (resident,) = up.pool.residents()
            assert resident.requests == 1
            response.close()
        until(lambda: all(each.requests == 0 for each in up.pool.residents()))


def test_a_client_that_waits_for_an_engine_and_goes_away_waits_no_longer(tmp_path: Path) -> None:
    build(tmp_path, "PARAMETER num_ctx 64\n", "other")
    with (
        running(kid(tmp_path), script="endless", limits=Limits(most_loaded=1)) as up,
        closing(up.connect()) as first,
        closing(up.connect()) as second,
    ):
        first.request("POST", "/api/generate", json.dumps({"model": "kid", "prompt": "a"}))
        answer = first.getresponse()
        answer.readline()
        second.request("POST", "/api/generate", json.dumps({"model": "other", "prompt": "a"}))
        second.close()
        until(lambda: up.service.metrics.text(()).count('status="499"') == 1)
        answer.close()


def test_fifty_clients_at_once_all_get_their_answer(up: Running) -> None:
    ready = threading.Barrier(50)

    def ask(number: int) -> str:
        ready.wait(60)
        messages = [{"role": "user", "content": str(number)}]
        return said(up.post("/api/chat", {"model": "kid", "messages": messages}).lines)

    with ThreadPoolExecutor(50) as threads:
        assert set(threads.map(ask, range(50))) == {"Because the sky is blue"}
    until(lambda: all(each.requests == 0 for each in up.pool.residents()))


# Models.


def test_a_model_is_listed_shown_copied_and_deleted(up: Running) -> None:
    assert up.post("/api/copy", {"source": "kid", "destination": "Two"}).data == b""
    names = [each["name"] for each in up.get("/api/tags").json["models"]]
    assert {"kid:latest", "Two:latest"} <= set(names)
    shown = up.post("/api/show", {"name": "two"}).json
    assert shown["system"] == "You are a kid."
    assert shown["parameters"] == "num_ctx                        512"
    assert shown["model_info"]["general.architecture"] == "llama"
    assert shown["capabilities"] == ["completion"]
    assert shown["modelfile"].endswith("SYSTEM You are a kid.\nPARAMETER num_ctx 512\n")
    assert up.send("DELETE", "/api/delete", {"model": "", "name": "two"}).data == b""
    assert up.post("/api/show", {"model": "two"}).status == 404


def test_the_capabilities_of_a_template(up: Running) -> None:
    found = up.post("/api/show", {"model": "able"}).json["capabilities"]
    assert found == ["completion", "tools", "insert", "thinking"]


def test_a_model_is_created_of_another_and_answers(up: Running) -> None:
    asked = {
        "model": "made",
        "from": "kid",
        "system": "Hi.",
        "license": "MIT",
        "parameters": {"temperature": 0, "stop": ["X"]},
        "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
    }
    lines = up.post("/api/create", asked).lines
    assert lines[0] == {"status": "gathering model components"}
    assert lines[-2:] == [{"status": "writing manifest"}, {"status": "success"}]
    up.post("/api/chat", {"model": "made", "messages": [WHY]})
    assert up.aviary.prompts[-1] == "system:Hi.\nuser:a\nassistant:b\nuser:why\n"
    assert up.post("/api/create", {**asked, "stream": False}).json == {"status": "success"}


def test_a_model_is_created_of_an_uploaded_file(up: Running) -> None:
    weights = (Path(up.store.root).parent / "tiny.gguf").read_bytes()
    digest = f"sha256:{hashlib.sha256(weights).hexdigest()}"
    assert up.post(f"/api/blobs/{digest}", weights).status == 200  # It was there already.
    asked = {"model": "filed", "files": {"tiny.gguf": digest}, "stream": False}
    assert up.post("/api/create", asked).json == {"status": "success"}
    assert up.store.load(Name.parse("filed")).layers


@pytest.mark.parametrize(
    ("more", "status", "error"),
    [
        ({"parameters": {"nope": 1}}, 400, "unknown parameter 'nope'"),
        ({"parameters": {"num_ctx": "a"}}, 400, 'option "num_ctx" must be of type integer'),
        ({"template": "{{"}, 400, ""),
        ({"quantize": "Q9"}, 400, ""),
        ({"from": "absent"}, 501, ""),
        ({"info": {"a": 1}}, 501, "info is not supported"),
    ],
)
def test_what_cannot_be_created_leaves_nothing(
    up: Running, more: dict[str, Any], status: int, error: str
) -> None:
    asked = {"model": "bad", "from": "kid", "stream": False, **more}
    answered = up.post("/api/create", asked)
    assert answered.status == status
    assert answered.error == error or not error
    assert up.post("/api/show", {"model": "bad"}).status == 404


def test_a_blob_is_stored_whole_or_not_at_all(up: Running) -> None:
    path = f"/api/blobs/sha256:{HELLO}"
    assert up.send("HEAD", path).status == 404
    wrong = up.post(path, b"other")
    assert wrong.status == 400
    assert wrong.error.startswith(f'digest mismatch, expected "sha256:{HELLO}", got "sha256:')
    assert up.send("HEAD", path).status == 404
    assert up.post(path, b"hello").status == 201
    assert up.send("HEAD", path.replace("sha256:", "sha256-")).status == 200
    assert up.post(path, b"hello").status == 200


@pytest.mark.parametrize(
    "digest",
    ["sha256:x", "sha256:" + "A" * 64, "sha256:" + "0" * 63, "sha256:..%2f..%2fetc%2fpasswd", "x"],
)
def test_what_is_no_digest_is_no_path(up: Running, digest: str) -> None:
    answered = up.post(f"/api/blobs/{digest}", b"x")
    assert answered.status in (400, 404)
    assert not (Path(up.store.root).parent / "passwd").exists()


def test_a_blob_whose_sender_goes_away_leaves_nothing(up: Running) -> None:
    digest = hashlib.sha256(b"long" * 1000).hexdigest()
    before = len(list(Path(up.store.blobs.folder).iterdir()))
    with closing(socket.create_connection(("127.0.0.1", up.port), timeout=60)) as made:
        head = f"POST /api/blobs/sha256:{digest} HTTP/1.1\r\nHost: localhost\r\n"
        made.sendall(f"{head}Content-Length: 4000\r\n\r\n".encode() + b"long" * 10)
        until(lambda: len(list(Path(up.store.blobs.folder).iterdir())) > before)
    until(lambda: len(list(Path(up.store.blobs.folder).iterdir())) == before)


def test_four_bytes_that_say_gguf_become_no_model(up: Running) -> None:
    # CVE-2024-39720.
    digest = f"sha256:{hashlib.sha256(b'GGUF').hexdigest()}"
    assert up.post(f"/api/blobs/{digest}", b"GGUF").status in (200, 201)
    asked = {"model": "bad", "files": {"a.gguf": digest}, "stream": False}
    assert up.post("/api/create", asked).status == 400
    line = up.post("/api/create", {**asked, "stream": True}).lines[-1]
    assert "error" in line
    assert up.post("/api/show", {"model": "bad"}).status == 404


@pytest.mark.parametrize("base", ["/etc/passwd", "/etc/no-such", "../../etc/passwd", "~/x", "./x"])
def test_what_a_model_is_made_from_is_a_name_and_no_path(up: Running, base: str) -> None:
    # CVE-2024-39719: the answer does not tell whether there is such a file.
    answered = up.post("/api/create", {"model": "x", "from": base})
    assert (answered.status, answered.error) == (400, "invalid model name")


def test_an_engines_own_flags_are_passed_over(up: Running) -> None:
    # CVE-2026-28400, CVE-2026-21869.
    flags = {"log_file": "/tmp/x", "n_discard": -5, "lora": "/etc/passwd", "model": "/etc/passwd"}
    asked = {"model": "kid", "prompt": "why", "options": flags, "stream": False, **flags}
    answered = up.post("/api/generate", {**asked, "model": "kid"})
    assert answered.status == 200
    assert up.aviary.parrots[-1].load.weights.startswith(up.store.root)


# Vectors.


def test_vectors_are_of_length_one_and_in_order(up: Running) -> None:
    found = up.post("/api/embed", {"model": "kid", "input": ["abc", "d"]}).json
    assert [round(sum(x * x for x in vector), 6) for vector in found["embeddings"]] == [1, 1]
    assert found["prompt_eval_count"] == 4
    short = up.post("/api/embed", {"model": "kid", "input": "abc", "dimensions": 1}).json
    assert short["embeddings"] == [[1.0]]
    plain = up.post("/api/embeddings", {"model": "kid", "prompt": "abc"}).json
    assert plain == {"embedding": [3.0, 97.0, 99.0]}


def test_a_text_too_long_to_embed_is_cut_or_refused(up: Running) -> None:
    asked = {"model": "kid", "input": "x" * 600}
    assert up.post("/api/embed", asked).json["prompt_eval_count"] == 512
    refused = up.post("/api/embed", {**asked, "truncate": False})
    assert (refused.status, refused.error) == (400, "the input length exceeds the context length")


def test_nothing_to_embed_only_loads(up: Running) -> None:
    assert up.post("/api/embed", {"model": "kid", "input": ""}).json["embeddings"] == []
    assert up.post("/api/embeddings", {"model": "kid"}).json == {"embedding": []}


# Who may ask.


def test_a_page_that_has_its_name_resolved_to_this_machine_is_refused(up: Running) -> None:
    # CVE-2024-28224.
    answered = up.get("/api/tags", {"Host": "evil.example:11434"})
    assert (answered.status, answered.data) == (403, b"")


def test_a_page_of_somebody_else_is_refused(up: Running) -> None:
    answered = up.post("/api/generate", {"model": "kid"}, {"Origin": "http://evil.example"})
    assert (answered.status, answered.data) == (403, b"")


def test_a_local_page_may_ask_and_is_told_so(up: Running) -> None:
    origin = {"Origin": "http://localhost:3000"}
    answered = up.get("/api/tags", origin)
    assert answered.headers["access-control-allow-origin"] == "http://localhost:3000"
    asked = {**origin, "Access-Control-Request-Method": "POST"}
    before = up.send("OPTIONS", "/api/chat", None, asked)
    assert (before.status, before.headers["access-control-max-age"]) == (204, "43200")


def test_the_key_is_asked_for_all_but_a_sign_of_life(tmp_path: Path) -> None:
    # CVE-2025-63389.
    with running(kid(tmp_path), settings=Settings(api_key="secret", loopback=False)) as up:
        assert up.get("/").status == 200
        assert "store" not in up.get("/healthz").json
        for method, path in (("GET", "/api/tags"), ("POST", "/api/create"), ("GET", "/metrics")):
            assert up.send(method, path).status == 401
        assert up.get("/api/tags", {"Authorization": "Bearer secret"}).status == 200
        assert up.get("/api/tags", {"X-Api-Key": "wrong"}).status == 401
