from pathlib import Path

import conformance
import pytest

DATA = Path(__file__).parents[2] / "data"


@pytest.mark.parametrize("family", ["gotext", "template"])
def test_every_vector_of_the_reference_passes(
    family: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = DATA / f"{family}.jsonl"
    count = len(path.read_text(encoding="utf-8").splitlines())
    status = conformance.main([family, str(path)])
    assert capsys.readouterr().out == f"{count} passed, 0 failed\n"
    assert status == 0
