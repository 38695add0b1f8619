"""Eight processes at once on one store."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from gguf_files import tiny_llama

from faults import crowd
from faults.evidence import Evidence
from mbuild.store.digest import Digest
from mbuild.store.manifest import Manifest
from mbuild.store.name import Name
from mbuild.store.store import Store

_PROCESSES = 8


def test_eight_processes_lose_nothing_and_meet_no_error(tmp_path: Path, soak: int) -> None:
    weights = tiny_llama(tmp_path / "m.gguf")
    root = tmp_path / "models"
    seconds = 60 if soak > 1 else 4
    logs = [tmp_path / f"{seed}.json" for seed in range(_PROCESSES)]
    processes = [
        subprocess.Popen(
            [sys.executable, crowd.__file__, root, weights, str(seed), str(seconds), log],
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed, log in enumerate(logs)
    ]
    said = [process.communicate(timeout=seconds + 120)[1] for process in processes]
    assert [text for text in said if text] == []

    reports = [json.loads(log.read_text()) for log in logs]
    store = Store(root)
    for report in reports:
        for name, manifest in report["own"].items():
            assert store.read(Name.parse(name)).decode() == manifest, name
    names = {name.short for name in store.names()}
    own = {name for report in reports for name in report["own"]}
    assert {name for name in names if not name.startswith("shared:")} == own
    for name in store.names():
        for layer in Manifest.decode(store.read(name)).blobs:
            assert Digest.of(store.blobs.read(layer.digest)) == layer.digest
    assert Evidence(root).lost() == []
    assert store.inspect().sound
    done = sum((Counter(report["done"]) for report in reports), Counter())
    assert done.keys() == {"create", "copy", "remove", "prune", "list"}
