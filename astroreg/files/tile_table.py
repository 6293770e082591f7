"""Tile-compressed images: what their tables say is checked before anything is uncompressed.

The decompressors are written in C and believe what the file says of the sizes of tiles. What a hostile file
may say is refused here, so that they write into their own memory and no more of it than the image needs.
"""

from __future__ import annotations

import gzip
import io
import math
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from astropy.io import fits

__all__ = ["require_sound_tiles"]

_WIDTHS = {"L": 1, "B": 1, "A": 1, "I": 2, "J": 4, "E": 4, "K": 8, "D": 8, "C": 8, "M": 16, "P": 8, "Q": 16}
_POINTERS = {"P": ">i4", "Q": ">i8"}
_MOST_TILES = 1_000_000  # each costs the reader some 50 us
_LARGEST_TILE = 2**31 // 8  # pixels: sizes are kept in a C int, of up to 8 bytes a pixel
_PIXEL_BYTES = 8  # of the widest pixel
_MOST_SEEDS = 10_000  # of the dither (FITS 4.0, section 10.2)
_SMALL = 62_000  # bytes that become at most 64 MB: gzip packs 1032 to 1 at the best
_CHUNK = 2**20
_HCOMPRESS = b"\xdd\x99"


@dataclass(frozen=True)
class _Table:
    """The header and the bytes of the table that a compressed image is kept in."""

    header: fits.Header
    rows: np.ndarray  # (number of rows, bytes of a row)
    heap: np.ndarray

    def pointers(self, name: str) -> Iterator[tuple[int, int, int]]:
        """Yield (row, number of bytes, place in the heap) of the tiles in a column, if it is there."""
        column = self._column(name)
        if column is None:
            return
        start, kind, itemsize = column
        width = _WIDTHS[kind]
        words = np.ascontiguousarray(self.rows[:, start : start + width]).view(_POINTERS[kind])
        for row in np.flatnonzero(words[:, 0]):
            yield int(row), int(words[row, 0]) * itemsize, int(words[row, 1])

    def _column(self, name: str) -> tuple[int, str, int] | None:
        start = 0
        for number in range(1, int(self.header["TFIELDS"]) + 1):
            count, kind, element = re.match(
                r"\s*(\d*)([A-Z])([A-Z]?)", self.header[f"TFORM{number}"]
            ).groups()
            if str(self.header.get(f"TTYPE{number}", "")).strip().upper() == name:
                return (start, kind, _WIDTHS[element]) if kind in _POINTERS else None
            times = int(count or 1)
            start += -(-times // 8) if kind == "X" else times * _WIDTHS[kind]
        return None


def require_sound_tiles(hdu: fits.CompImageHDU, label: str) -> None:
    """Refuse a tile-compressed image whose tiles are not what its header announces.

    Parameters
    ----------
    hdu : `~astropy.io.fits.CompImageHDU`
        The image. One that was made in memory, or read before its file was closed, is taken as it is.
    label : str
        What to call it in the message.

    Raises
    ------
    ValueError
        If the table has fewer rows than the image has tiles, or the image more tiles or larger ones than a
        reader can work through; if a tile lies outside of the file, or becomes more than its part of the
        image, uncompressed; or if a setting of the compression is impossible.
    """
    place = hdu.fileinfo() or {}
    if place.get("file") is None or place.get("datLoc") is None or place["file"].closed:
        return
    try:
        table = _read(place)
        kind = str(table.header["ZCMPTYPE"]).strip().upper()
        _check_settings(table.header, kind)
        shape, tile = _shapes(table.header)
        _check_numbers(shape, tile, len(table.rows))
        for name, how in (("COMPRESSED_DATA", kind), ("GZIP_COMPRESSED_DATA", "GZIP_1")):
            for row, size, at in table.pointers(name):
                _check_tile(row, size, at, table.heap, how, shape, tile)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, fits.VerifyError) as error:
        reason = f"there is no {error.args[0]}" if isinstance(error, KeyError) else error
        raise ValueError(f"the pixels of {label} cannot be read, {reason}; the file is damaged") from error


def _read(place: dict) -> _Table:
    file, before = place["file"], place["file"].tell()
    try:
        file.seek(place["hdrLoc"])
        header = fits.Header.fromstring(file.read(place["datLoc"] - place["hdrLoc"]))
        content = np.frombuffer(file.read(place["datSpan"]), np.uint8)
    finally:
        file.seek(before)
    width, number = int(header["NAXIS1"]), int(header["NAXIS2"])
    if len(content) < width * number:
        raise ValueError("its table of tiles is not all there")
    heap = content[int(header.get("THEAP", width * number)) :]
    return _Table(header, content[: width * number].reshape(number, width), heap)


def _shapes(header: fits.Header) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Lengths of the image and of a tile, the first axis first."""
    axes = range(1, int(header["ZNAXIS"]) + 1)
    shape = tuple(int(header[f"ZNAXIS{axis}"]) for axis in axes)
    tile = tuple(int(header.get(f"ZTILE{axis}", shape[0] if axis == 1 else 1)) for axis in axes)
    if min((*shape, *tile), default=0) < 1:
        raise ValueError(f"it has tiles of {tile} pixels of an image of {shape}")
    return shape, tuple(min(pair) for pair in zip(shape, tile))


def _check_settings(header: fits.Header, kind: str) -> None:
    """Refuse numbers that the decompressors take as they come."""
    for number in range(1, 1000 if kind.startswith("RICE") else 1):
        name, value = str(header.get(f"ZNAME{number}")).upper(), header.get(f"ZVAL{number}")
        if name == "BYTEPIX" and value not in (1, 2, 4):
            raise ValueError(f"it announces BYTEPIX = {value!r}, not 1, 2 or 4")
        if name == "BLOCKSIZE" and not 1 <= value <= _LARGEST_TILE:
            raise ValueError(f"it announces BLOCKSIZE = {value!r}")
    if not 0 <= header.get("ZDITHER0", 0) <= _MOST_SEEDS:
        raise ValueError(f"it announces ZDITHER0 = {header['ZDITHER0']!r}, not 1 to {_MOST_SEEDS}")


def _check_numbers(shape: tuple[int, ...], tile: tuple[int, ...], rows: int) -> None:
    number = math.prod(-(-length // part) for length, part in zip(shape, tile))
    if number > rows:
        raise ValueError(f"it announces {number} tiles of which its table has {rows}")
    if number > _MOST_TILES or math.prod(tile) > _LARGEST_TILE:
        raise ValueError(f"it announces {number} tiles of {math.prod(tile)} pixels")


def _check_tile(row: int, size: int, at: int, heap: np.ndarray, kind: str, shape, tile) -> None:
    if size < 0 or at < 0 or at + size > len(heap):
        raise ValueError(f"its tile {row} is not all there")
    if kind.startswith("GZIP"):
        most = _PIXEL_BYTES * math.prod(tile)
        if size > _SMALL and _unpacked_size(heap[at : at + size], most) > most:
            raise ValueError(f"its tile {row} becomes more than {most} bytes, uncompressed")
    elif kind == "HCOMPRESS_1":
        _check_hcompress(row, heap[at : at + size].tobytes(), shape, tile)
    elif kind == "PLIO_1":
        _check_plio(row, heap[at : at + size])


def _unpacked_size(packed: np.ndarray, most: int) -> int:
    """Bytes that a gzip stream becomes, counted until they are more than `most`, and never held."""
    total = 0
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed.tobytes())) as stream:
            while total <= most and (chunk := stream.read(_CHUNK)):
                total += len(chunk)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"a tile cannot be uncompressed ({error})") from error
    return total


def _check_hcompress(row: int, stream: bytes, shape, tile) -> None:
    """Compare the size that the stream names with that of the tile, which is what there is room for."""
    lengths = [int.from_bytes(stream[start : start + 4], "big") for start in (2, 6)]
    if stream[:2] != _HCOMPRESS or lengths != _hcompress_lengths(row, shape, tile):
        raise ValueError(f"its tile {row} has not the size that the header announces")


def _hcompress_lengths(row: int, shape, tile) -> list[int]:
    """The lengths of a tile, the last axis first; cut off at the edges, axes of length 1 left out."""
    lengths = []
    for length, part in zip(shape, tile):
        row, place = divmod(row, -(-length // part))
        lengths.append(min(part, length - place * part))
    return [length for length in reversed(lengths) if length > 1]


def _check_plio(row: int, stream: np.ndarray) -> None:
    """Compare the length that a list of runs names with that of the stream."""
    words = stream[: len(stream) // 2 * 2].view(">i2").astype(int)
    if len(words) < 5:
        raise ValueError(f"its tile {row} is cut short")
    # The old form of the list keeps its length in the third word, the new one in the fourth and fifth.
    length, start = (words[2], 3) if words[2] > 0 else ((words[4] << 15) + words[3], words[1])
    if not 0 <= start <= length <= len(words):
        raise ValueError(f"its tile {row} is cut short")
