"""Servers that several files of tests share."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from parrots import build
from servers import ABLE, Running, kid, running

from mbuild.compiler.create import Order, create
from mbuild.store.name import Name
from mbuild.store.store import Store

KID = "You are a 5-year old kid."


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with ``kid``, and with ``able``, which thinks, calls tools and fills in."""
    folder = tmp_path_factory.mktemp("shelf")
    kid(folder)
    return build(folder, ABLE, "able")


@pytest.fixture(scope="session")
def smollm2_server(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with a real model, called ``smollm2``."""
    if find_spec("llama_cpp") is None:
        pytest.skip("pip install 'mbuild-modelfile[run]'")
    from mbuild.runtime.llama import Llama

    folder = tmp_path_factory.mktemp("smollm2")
    store = Store(folder / "models")
    data = f"FROM {smollm2}\nSYSTEM {KID}\nPARAMETER num_ctx 1024\n".encode()
    order = Order(Name.parse("smollm2"), "Modelfile", data, str(folder))
    manifest, findings = create(order, store, lambda _: None)
    assert manifest is not None, findings
    with running(store, start=Llama) as found:
        yield found
