"""Which characters the reference keeps: the printable ones, blanks and line ends.

It drops every other character wherever it stands, also in quotes. The default dialect keeps
the author's text as it is, and asks here only where a character can mean nothing: in numbers,
names and versions, and around quotes.

"Printable" is Go's ``strconv.IsPrint``: letters, marks, numbers, punctuation, symbols and the
ASCII space, by the Unicode version of the Go release that the reference is built with (17).
"""

import re

# Printable in Unicode 17, but not yet in Unicode 14, the tables of the oldest Python that we
# support. Source: the Unicode character database, general categories L, M, N, P and S.
_NEWER = (
    "88f 897 c5c cdc cf3 ece 1acf-1add 1ae0-1aeb 1b4e-1b4f 1b7f 1c89-1c8a 20c1 2427-2429 2b96 "
    "2ffc-2fff 31e4-31e5 31ef a7cb-a7cf a7d2 a7d4 a7da-a7dc a7f1 fbc3-fbd2 fd90-fd91 "
    "fdc8-fdce 105c0-105f3 10940-10959 10d40-10d65 10d69-10d85 10d8e-10d8f 10ec2-10ec7 "
    "10ed0-10ed8 10efa-10eff 1123f-11241 11380-11389 1138b 1138e 11390-113b5 113b7-113c0 "
    "113c2 113c5 113c7-113ca 113cc-113d5 113d7-113d8 113e1-113e2 116d0-116e3 11b00-11b09 "
    "11b60-11b67 11bc0-11be1 11bf0-11bf9 11db0-11ddb 11de0-11de9 11f00-11f10 11f12-11f3a "
    "11f3e-11f5a 1342f 13440-13455 13460-143fa 16100-16139 16d40-16d79 16ea0-16eb8 "
    "16ebb-16ed3 16ff2-16ff6 187f8-187ff 18cff 18d09-18d1e 18d80-18df2 1b132 1b155 "
    "1cc00-1ccfc 1cd00-1ceb3 1ceba-1ced0 1cee0-1cef0 1d2c0-1d2d3 1df25-1df2a 1e030-1e06d "
    "1e08f 1e4d0-1e4f9 1e5d0-1e5fa 1e5ff 1e6c0-1e6de 1e6e0-1e6f5 1e6fe-1e6ff 1f6d8 1f6dc "
    "1f774-1f77f 1f7d9 1f8b2-1f8bb 1f8c0-1f8c1 1f8d0-1f8d8 1fa54-1fa57 1fa75-1fa77 "
    "1fa87-1fa8a 1fa8e-1fa8f 1faad-1faaf 1fabb-1fabf 1fac6 1fac8 1facd-1facf 1fada-1fadc "
    "1fadf 1fae8-1faea 1faef 1faf7-1faf8 1fbcb-1fbef 1fbfa 2b739-2b73f 2cea2-2cead "
    "2ebf0-2ee5d 31350-33479 "
)


def _character_class(ranges: str) -> str:
    """Ranges of hexadecimal code points, as the inside of a regular expression's brackets."""
    return re.sub("[0-9a-f]+", lambda code: chr(int(code[0], 16)), ranges).replace(" ", "")


_KEPT_THOUGH_UNPRINTABLE = re.compile(f"[\t\r\n{_character_class(_NEWER)}]")
_DROPPED_ASCII = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f]")


def is_kept(character: str) -> bool:
    r"""Whether the reference keeps *character*, of which there must be one.

    >>> is_kept("é"), is_kept("\t"), is_kept("\u200d"), is_kept("\u00a0")
    (True, True, False, False)
    """
    return character.isprintable() or _KEPT_THOUGH_UNPRINTABLE.match(character) is not None


def dropped(text: str) -> frozenset[str]:
    """The characters of *text* that the reference drops; empty for nearly every file."""
    if text.isascii() and not _DROPPED_ASCII.search(text):
        return frozenset()
    return frozenset(character for character in set(text) if not is_kept(character))


def kept(text: str) -> str:
    """*text* as the reference reads it: without the characters that it drops."""
    unwanted = dropped(text)
    return text.translate(dict.fromkeys(map(ord, unwanted))) if unwanted else text


def blanked(text: str, mark: str) -> str:
    """*text*, of the same length, with *mark* for each character that the reference drops."""
    unwanted = dropped(text)
    return text.translate(dict.fromkeys(map(ord, unwanted), mark)) if unwanted else text


def cleaned(text: str) -> str:
    r"""*text* as the reference reads it, for names: a path may need what is dropped here.

    >>> cleaned("llama3 \u200b")
    'llama3'
    """
    seen = kept(text)
    return text if seen == text else seen.strip(" \t")
