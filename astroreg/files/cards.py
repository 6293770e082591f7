"""Header blocks of FITS files as bytes: editing single cards, leaving all others as they are."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable

import numpy as np
from astropy.io import fits
from astropy.io.fits.verify import VerifyError

from astroreg.exceptions import CorrectionError

__all__ = ["BLOCK", "edited_block", "edited_keywords", "hdu_checksum", "ones_complement_sum", "with_checksum"]

BLOCK = 2880
CARD = 80
_COMMENTARY = ("HISTORY", "COMMENT", "")


def edited_block(block: bytes, old: fits.Header, new: fits.Header) -> bytes:
    """Carry the differences between two headers over to the block of one of them.

    Parameters
    ----------
    block : bytes
        The header as it stands in the file. It may hold more than ``old``: the header of a
        compressed image also describes the table that it is kept in.
    old, new : `~astropy.io.fits.Header`
        The header before and after.

    Returns
    -------
    bytes
        A whole number of FITS blocks. Every card that is the same in ``old`` and ``new`` is the
        same 80 bytes as before.
    """
    groups = _card_groups(block)
    for keyword in _keywords(old):
        if keyword not in new:
            groups = [group for group in groups if group[0] != keyword]
    previous = None
    seen = set(_COMMENTARY)
    for card in new.cards:
        keyword = card.keyword
        if keyword in seen:  # of a keyword that stands twice, the first is the one that counts
            continue
        seen.add(keyword)
        if keyword not in old:
            groups.insert(_place_after(groups, previous), (keyword, _image(card)))
        elif not _same(old, card):
            groups[_find(groups, keyword)] = (keyword, _image(card))
        previous = keyword
    for keyword in _COMMENTARY[:2]:
        groups = _with_commentary(groups, keyword, _lines(old, keyword), _lines(new, keyword))
    return _joined(groups)


def edited_keywords(old: fits.Header, new: fits.Header) -> list[str]:
    """Return the keywords that were added, changed or removed; HISTORY and COMMENT not counted.

    Parameters
    ----------
    old, new : `~astropy.io.fits.Header`
        The header before and after.

    Returns
    -------
    list of str
    """
    both = dict.fromkeys([*_keywords(old), *_keywords(new)])
    return [key for key in both if key not in old or key not in new or not _same(old, new.cards[key])]


def _card_groups(block: bytes) -> list[tuple[str, bytes]]:
    """Split a block into (keyword, its cards): a long string goes on in CONTINUE cards."""
    groups: list[tuple[str, bytes]] = []
    for start in range(0, len(block), CARD):
        card = block[start : start + CARD]
        keyword = card[:8].decode("latin-1").strip().upper()
        if keyword == "END":
            break
        if keyword == "HIERARCH" and b"=" in card:
            keyword = card[9 : card.index(b"=")].decode("latin-1").strip().upper()
        if keyword == "CONTINUE" and groups:
            groups[-1] = (groups[-1][0], groups[-1][1] + card)
        else:
            groups.append((keyword, card))
    while groups and not groups[-1][1].strip():
        groups.pop()  # room that was kept free for growth; the block is padded with blanks anyway
    return groups


def _joined(groups: Iterable[tuple[str, bytes]]) -> bytes:
    cards = b"".join(card for _, card in groups) + b"END".ljust(CARD)
    return cards + b" " * (-len(cards) % BLOCK)


def _keywords(header: fits.Header) -> list[str]:
    return [keyword for keyword in header if keyword not in _COMMENTARY]


def _find(groups: list[tuple[str, bytes]], keyword: str) -> int:
    for index, group in enumerate(groups):
        if group[0] == keyword:
            return index
    raise CorrectionError(f"the card {keyword} was not found in the file; its header was left alone")


def _place_after(groups: list[tuple[str, bytes]], keyword: str | None) -> int:
    """Index behind a keyword; behind all cards where it is not in this block."""
    for index, group in enumerate(groups):
        if group[0] == keyword:
            return index + 1
    return len(groups)


def _same(old: fits.Header, card: fits.Card) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            before = old.cards[card.keyword]
            value, comment = before.value, before.comment
            same_value = type(value) is type(card.value) and value == card.value
            return same_value and comment == card.comment
    except VerifyError:  # a card that astropy cannot read was copied, not changed
        return True


def _image(card: fits.Card) -> bytes:
    return card.image.encode("ascii")


def _lines(header: fits.Header, keyword: str) -> list[str]:
    return [str(line) for line in header[keyword]] if keyword in header else []


def _with_commentary(
    groups: list[tuple[str, bytes]], keyword: str, old: list[str], new: list[str]
) -> list[tuple[str, bytes]]:
    if new[: len(old)] == old:
        added = new[len(old) :]
    else:
        common, number = _common(old, new), itertools.count()
        groups = [group for group in groups if group[0] != keyword or next(number) < common]
        added = new[common:]
    return groups + [(keyword, _image(fits.Card(keyword, line))) for line in added]


def _common(old: list[str], new: list[str]) -> int:
    """Number of lines that two lists have in common at their beginning."""
    count = 0
    for first, second in zip(old, new):
        if first != second:
            break
        count += 1
    return count


def ones_complement_sum(data: bytes, start: int = 0) -> int:
    """Add 32-bit big-endian words with the carry brought around (FITS 4.0, appendix J).

    Parameters
    ----------
    data : bytes
        Padded with zeros to whole words.
    start : int, optional
        Sum of what came before; default 0.

    Returns
    -------
    int
        In [0, 2**32).
    """
    words = np.frombuffer(data + b"\0" * (-len(data) % 4), dtype=">u4")
    total = int(words.sum(dtype=np.uint64)) + start
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def hdu_checksum(block: bytes, data_sum: int) -> str:
    """The 16 characters of CHECKSUM that make an HDU add up to minus zero.

    Parameters
    ----------
    block : bytes
        The header block, with sixteen "0" as the value of CHECKSUM.
    data_sum : int
        The sum of the data.

    Returns
    -------
    str
    """
    return _encoded(0xFFFFFFFF ^ ones_complement_sum(block, data_sum))


def _encoded(value: int) -> str:
    """Spread each byte over four characters, none of them punctuation (FITS 4.0, J.3)."""
    columns = []
    for shift in (24, 16, 8, 0):
        byte = (value >> shift) & 0xFF
        quotient, rest = divmod(byte, 4)
        four = [quotient + ord("0") + (rest if index == 0 else 0) for index in range(4)]
        columns.append(_without_punctuation(four))
    text = "".join(chr(columns[byte][place]) for place in range(4) for byte in range(4))
    return text[-1] + text[:-1]  # the value begins in the second byte of a word


def _without_punctuation(four: list[int]) -> list[int]:
    excluded = set(range(0x3A, 0x41)) | set(range(0x5B, 0x61))
    while any(code in excluded for code in four):
        for index in (0, 2):
            if four[index] in excluded or four[index + 1] in excluded:
                four[index] += 1
                four[index + 1] -= 1
    return four


def with_checksum(block: bytes, data_sum: int) -> bytes:
    """Renew CHECKSUM in a header block that has one; DATASUM is of the data and stays.

    Parameters
    ----------
    block : bytes
        The edited header block.
    data_sum : int
        The sum of the data that follow it.

    Returns
    -------
    bytes
        Of the same length. ZHECKSUM, the sum of the header before compression, is no longer
        known and is taken out.
    """
    groups = [group for group in _card_groups(block) if group[0] != "ZHECKSUM"]
    keywords = [group[0] for group in groups]
    if "CHECKSUM" not in keywords:
        return _joined(groups)
    index = keywords.index("CHECKSUM")
    comment = groups[index][1][30:]
    for value in ("0" * 16, None):
        if value is None:
            value = hdu_checksum(_joined(groups), data_sum)
        groups[index] = ("CHECKSUM", f"CHECKSUM= '{value}'".encode("ascii").ljust(30) + comment)
    return _joined(groups)
