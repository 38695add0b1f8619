"""Who may ask."""

import pytest

from mbuild.runtime.guard import Rules

LOCAL = Rules(loopback=True)


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("", True),
        ("127.0.0.1:11434", True),
        ("localhost", True),
        ("LOCALHOST:1", True),
        ("[::1]:11434", True),
        ("192.168.1.5", True),
        ("0.0.0.0:80", True),
        ("box.local:11434", True),
        ("a.internal", True),
        ("x.localhost", True),
        ("evil.example", False),
        ("evil.example:11434", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("8.8.8.8", False),
        ("evillocal", False),
        ("a:b:c", False),
    ],
)
def test_a_request_must_be_sent_to_a_name_of_this_machine(host: str, allowed: bool) -> None:
    assert LOCAL.host(host) is allowed


def test_a_server_for_others_has_any_name() -> None:
    assert Rules(loopback=False, api_key="k").host("models.example")


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost", True),
        ("http://localhost:3000", True),
        ("https://127.0.0.1:8443", True),
        ("app://obsidian.md", True),
        ("vscode-webview://abc", True),
        ("http://evil.example", False),
        ("http://localhost.evil.example", False),
        ("https://localhost@evil.example", False),
        ("null", False),
        ("chrome-extension://abc", False),
    ],
)
def test_a_page_must_be_local(origin: str, allowed: bool) -> None:
    assert LOCAL.origin(origin) is allowed


@pytest.mark.parametrize(
    ("pattern", "origin", "allowed"),
    [
        ("chrome-extension://*", "chrome-extension://abc", True),
        ("*", "http://anything.example", True),
        ("http://a.example", "http://a.example", True),
        ("http://a.example", "http://axexample", False),
        ("http://*.a.example", "http://b.a.example", True),
    ],
)
def test_more_pages_can_be_allowed(pattern: str, origin: str, allowed: bool) -> None:
    assert Rules(loopback=True, origins=(pattern,)).origin(origin) is allowed


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"authorization": "Bearer key"}, True),
        ({"authorization": "bearer key"}, True),
        ({"x-api-key": "key"}, True),
        ({}, False),
        ({"authorization": "Bearer"}, False),
        ({"authorization": "Bearer kez"}, False),
        ({"authorization": "Basic key"}, False),
        ({"x-api-key": "käy"}, False),
    ],
)
def test_a_key_is_asked_for(headers: dict[str, str], allowed: bool) -> None:
    assert Rules(loopback=False, api_key="key").key(headers) is allowed


def test_without_a_key_nobody_needs_one() -> None:
    assert LOCAL.key({})
