import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbuild.store.digest import BadDigest, Digest

HEX = "99759ad5b91e723db0393d698ffbb448b1b7df5ff6377a108c49254583b1bc8c"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"sha256:{HEX}", id="colon"),
        pytest.param(f"sha256-{HEX}", id="hyphen"),
        pytest.param(f"sha256:{HEX.upper()}", id="upper case is accepted and lower case written"),
    ],
)
def test_both_ways_to_write_a_digest_are_read(text: str) -> None:
    digest = Digest.parse(text)
    assert (str(digest), digest.filename) == (f"sha256:{HEX}", f"sha256-{HEX}")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(HEX, id="no algorithm"),
        pytest.param(f"SHA256:{HEX}", id="algorithm in capitals"),
        pytest.param(f"sha512:{HEX}", id="other algorithm"),
        pytest.param(f"sha256_{HEX}", id="other separator"),
        pytest.param(f"sha256:{HEX[1:]}", id="too short"),
        pytest.param(f"sha256:{HEX}0", id="too long"),
        pytest.param(f"sha256:{HEX}\n", id="line feed at the end"),
        pytest.param(f"sha256:{HEX[:-1]}g", id="no hex"),
        pytest.param("sha256:../../../../etc/passwd", id="path out of the folder"),
        pytest.param("sha256:" + "../" * 21 + "x", id="path of the right length"),
        pytest.param("sha256:/" + "a" * 63, id="absolute path"),
        pytest.param(f"sha256:{HEX[:-1]}\0", id="NUL"),
        # Digits to Unicode and to int(), but no file that we would ever write.
        pytest.param("sha256:" + "\u0661" * 64, id="arabic digits"),
        pytest.param("sha256:" + "\uff41" * 64, id="full-width letters"),
    ],
)
def test_nothing_else_is_a_digest(text: str) -> None:
    with pytest.raises(BadDigest) as caught:
        Digest.parse(text)
    assert caught.value.text == text


@pytest.mark.parametrize("text", [HEX.upper(), HEX[:63], "", f"sha256:{HEX}", "../" * 21 + "x"])
def test_an_ill_formed_digest_cannot_exist(text: str) -> None:
    with pytest.raises(BadDigest):
        Digest(text)


@given(st.binary())
def test_a_digest_is_that_of_its_bytes_and_survives_writing(data: bytes) -> None:
    digest = Digest.of(data)
    assert digest.hex == hashlib.sha256(data).hexdigest()
    assert Digest.parse(str(digest)) == Digest.parse(digest.filename) == digest
    assert digest.short == digest.hex[:12]


@given(st.text())
def test_whatever_parses_is_a_plain_file_name(text: str) -> None:
    try:
        digest = Digest.parse(f"sha256:{text}")
    except BadDigest:
        return
    assert len(digest.filename) == 71
    assert set(digest.filename) <= set("sha256-0123456789abcdef")
