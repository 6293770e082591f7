"""FITS files as streams of bytes, whatever they are compressed with."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import itertools
import lzma
import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from astroreg.files.cards import BLOCK, ones_complement_sum
from astroreg.memory import require_memory

__all__ = ["copy_bytes", "data_sum", "file_sink", "raw_source", "read_exactly", "require_sane_counts"]

_CHUNK = 400 * BLOCK

# Beginnings of compressed files, and what reads and writes them.
_COMPRESSIONS = {b"\x1f\x8b": gzip, b"BZh": bz2, b"\xfd7zXZ": lzma}
_SUFFIXES = {".gz": gzip, ".bz2": bz2, ".xz": lzma}
_ZIP, _LZW = b"PK\x03\x04", b"\x1f\x9d"
# What these say of streams that are damaged; RuntimeError is of an archive with a password.
_DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError)


# Numbers of axes and of table columns, of which FITS allows 999.
_COUNT = re.compile(rb"(Z?NAXIS|TFIELDS) *= *([+-]?\d+)")
_SIZE = re.compile(rb"(BITPIX|NAXIS\d+|PCOUNT|GCOUNT) *= *([+-]?\d+)")
_LARGEST_COUNT = 999

# A header is read to its END, but not for ever.
_LARGEST_HEADER = 2_000 * BLOCK
# Readers make an object of every HDU, and keep its header.
_MOST_HDUS = 20_000
_LARGEST_HEADERS = 40 * _LARGEST_HEADER


def require_sane_counts(name: str) -> None:
    """Refuse a file whose headers would keep a reader busy for hours, or fill the memory.

    Readers of FITS build lists as long as the numbers of axes and columns, look for the END of a header
    through all that follows, and hold what they uncompress. The walk from header to header ends quietly
    where it meets anything short that is no FITS.

    Parameters
    ----------
    name : str
        The file.

    Raises
    ------
    ValueError
        If a number of axes or columns is negative or larger than 999; if a header has no END within 5.76 MB,
        or as much that is no FITS follows the last; if there are more than 20,000 HDUs, or their headers hold
        more than 230 MB; or if what a compressed file announces needs more than half of the memory.
    """
    with contextlib.suppress(*_DAMAGED), raw_source(name) as source:
        is_packed = not isinstance(source, io.BufferedReader)
        total = headers = 0
        for number in itertools.count():
            cards = _next_header(source, name)
            if not cards:
                return
            if number >= _MOST_HDUS:
                raise ValueError(f"{name} holds more than {_MOST_HDUS} HDUs; split it")
            headers += 80 * len(cards)
            if headers > _LARGEST_HEADERS:
                raise ValueError(
                    f"{name} holds more than {_LARGEST_HEADERS / 1e6:.0f} MB of headers; split it"
                )
            _check_counts(cards, name)
            size = _data_size(cards)
            total += size
            if is_packed:
                require_memory(total, f"{name}, uncompressed,", "uncompress it if that is right")
            try:
                source.seek(size + -size % BLOCK, os.SEEK_CUR)
            except (OverflowError, OSError, ValueError):
                return


def _check_counts(cards: list[bytes], name: str) -> None:
    for card in cards:
        match = _COUNT.match(card)
        if match and not 0 <= int(match[2]) <= _LARGEST_COUNT:
            raise ValueError(
                f"{name} is damaged: it announces {match[1].decode()} = {match[2].decode()[:30]}, "
                f"FITS allows 0 to {_LARGEST_COUNT}"
            )


def _next_header(source: BinaryIO, name: str) -> list[bytes]:
    cards: list[bytes] = []
    while block := source.read(BLOCK):
        for start in range(0, len(block), 80):
            card = block[start : start + 80]
            if card.rstrip() == b"END":
                return cards
            cards.append(card)
        if len(cards) * 80 > _LARGEST_HEADER:
            raise ValueError(
                f"{name} is damaged: there is no END in {_LARGEST_HEADER / 1e6:.2f} MB after byte "
                f"{source.tell() - len(cards) * 80}; cut off what is no FITS"
            )
    return cards


def _data_size(cards: list[bytes]) -> int:
    """Bytes of data behind a header (FITS 4.0, equation 2)."""
    values = {"BITPIX": 8, "PCOUNT": 0, "GCOUNT": 1}
    values |= {match[1].decode(): int(match[2]) for match in map(_SIZE.match, cards) if match}
    lengths = [value for name, value in values.items() if name.startswith("NAXIS")]
    pixels = 1 if lengths else 0
    for length in lengths:
        pixels *= max(length, 0)
    return max(abs(values["BITPIX"]) * values["GCOUNT"] * (values["PCOUNT"] + pixels) // 8, 0)


@contextlib.contextmanager
def raw_source(name: str) -> Iterator[BinaryIO]:
    """The bytes of a file, uncompressed.

    Parameters
    ----------
    name : str
        The file.

    Yields
    ------
    file object
        Open for reading, at the beginning.

    Raises
    ------
    ValueError
        If the file is compressed in a way that is not known here, or is an archive of several files, or of
        one that needs more than half of the memory.
    """
    with open(name, "rb") as file:
        start = file.read(6)
    if start.startswith(_LZW):
        raise ValueError(f"{name} is compressed as by `compress` (.Z); uncompress it, or use gzip")
    if start.startswith(_ZIP):
        with zipfile.ZipFile(name) as archive, archive.open(_only_member(archive, name)) as source:
            yield source
        return
    module = next((module for magic, module in _COMPRESSIONS.items() if start.startswith(magic)), None)
    with open(name, "rb") if module is None else module.open(name, "rb") as source:
        yield source


def _only_member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    members = archive.infolist()
    if len(members) != 1:
        raise ValueError(f"{name} is an archive of {len(members)} files; take the one out that is wanted")
    # Readers unpack it as a whole, into memory and onto the disk.
    require_memory(2 * members[0].file_size, f"{name}, uncompressed,", "uncompress it if that is right")
    return members[0]


@contextlib.contextmanager
def file_sink(temporary: Path, output: str | os.PathLike) -> Iterator[BinaryIO]:
    suffix = Path(output).suffix.lower()
    module = _SUFFIXES.get(suffix)
    if module is gzip:  # without name and time: the same input gives the same file
        with open(temporary, "xb") as file, gzip.GzipFile("", "wb", 6, file, mtime=0) as sink:
            yield sink
    elif suffix == ".zip":
        with zipfile.ZipFile(temporary, "x", zipfile.ZIP_DEFLATED) as archive:
            with archive.open(Path(output).stem, "w", force_zip64=True) as sink:
                yield sink
    else:
        with open(temporary, "xb") if module is None else module.open(temporary, "xb") as sink:
            yield sink


def read_exactly(source: BinaryIO, length: int, name: str) -> bytes:
    data = source.read(length)
    if len(data) != length:
        raise ValueError(f"{name} is cut short; get a complete copy")
    return data


def copy_bytes(source: BinaryIO, sink: BinaryIO, length: int | None, name: str) -> int:
    """Copy so many bytes, or all that are left; return how many."""
    copied = 0
    while length is None or copied < length:
        chunk = source.read(_CHUNK if length is None else min(_CHUNK, length - copied))
        if not chunk:
            break
        sink.write(chunk)
        copied += len(chunk)
    if length is not None and copied < length:
        raise ValueError(f"{name} is cut short; get a complete copy")
    return copied


def data_sum(source: BinaryIO, start: int, span: int) -> int:
    """Sum of the data of an HDU; the place in the file is kept."""
    total, left = 0, span
    source.seek(start)
    while left > 0 and (chunk := source.read(min(_CHUNK, left))):
        total = ones_complement_sum(chunk, total)
        left -= len(chunk)
    source.seek(start)
    return total
