"""Tile-compressed images whose tables lie: refused before a decompressor in C believes them."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from astropy.io import fits

from astroreg.files import open_image
from astroreg.files.tile_table import require_sound_tiles
from astroreg.inputs import as_frame

NX, NY = 64, 48
MEGABYTE = 2**20
KINDS = ["RICE_1", "GZIP_1", "GZIP_2", "PLIO_1", "HCOMPRESS_1"]


def compressed(path, kind, *, tile=None, dtype="i2", **changes):
    """Write an image in tiles, then change cards of its table as they stand in the file."""
    values = np.abs(np.random.default_rng(1).normal(200, 50, (NY, NX))).astype(dtype)
    image = fits.CompImageHDU(values, compression_type=kind, tile_shape=tile)
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(path)
    with fits.open(path, mode="update", disable_image_compression=True) as hdus:
        for keyword, value in changes.items():
            assert keyword in hdus[1].header
            hdus[1].header[keyword] = value
    return values


def with_heap(path, kind, stream, *, column="COMPRESSED_DATA"):
    """Write an image of one tile whose compressed bytes are these."""
    columns = [fits.Column("COMPRESSED_DATA", "1PB()", array=np.array([np.frombuffer(stream, "u1")], object))]
    if column != "COMPRESSED_DATA":
        columns[0] = fits.Column(
            "COMPRESSED_DATA", "1PB()", array=np.array([np.zeros(0, "u1")], dtype=object)
        )
        columns.append(fits.Column(column, "1PB()", array=np.array([np.frombuffer(stream, "u1")], object)))
    table = fits.BinTableHDU.from_columns(columns)
    for keyword, value in {
        "ZIMAGE": True, "ZCMPTYPE": kind, "ZBITPIX": 16, "ZNAXIS": 2, "ZNAXIS1": NX, "ZNAXIS2": NY,
        "ZTILE1": NX, "ZTILE2": NY,
    }.items():  # fmt: skip
        table.header[keyword] = value
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)


def refused(path, match):
    """A refusal, and no memory taken for what the tile would become."""
    tracemalloc.start()
    with pytest.raises(ValueError, match=match):
        open_image(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # A table of some kilobytes, the astropy that reads it, and pieces of 1 MB of what is uncompressed.
    assert peak < 20 * MEGABYTE


@pytest.mark.parametrize("tile", [None, (NY, NX), (20, 30), (16, 64)])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("opener", [open, gzip.open])
def test_sound_files_are_read(kind, tile, opener, tmp_path):
    values = compressed(tmp_path / "a.fits", kind, tile=tile)
    with opener(tmp_path / "b.fits", "wb") as file:
        file.write((tmp_path / "a.fits").read_bytes())
    assert (open_image(tmp_path / "b.fits").data == values).all()


@pytest.mark.parametrize("lossless", [False, True])
def test_numbers_of_floating_point_are_read(lossless, tmp_path):
    """Quantized, some tiles as they are; or packed without a loss."""
    values = np.random.default_rng(1).normal(200, 50, (NY, NX)).astype("f4")
    values[3] = np.geomspace(1e-20, 1e20, NX)  # has no step to be quantized with
    image = fits.CompImageHDU(values, compression_type="GZIP_2" if lossless else "RICE_1")
    if lossless:
        image = fits.CompImageHDU(values, compression_type="GZIP_2", quantize_level=0)
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(tmp_path / "a.fits")
    with fits.open(tmp_path / "a.fits") as hdus:
        np.testing.assert_array_equal(open_image(tmp_path / "a.fits").data, hdus[1].data)


def test_what_is_open_or_was_read_is_taken(tmp_path):
    values = compressed(tmp_path / "a.fits", "RICE_1")
    with fits.open(tmp_path / "a.fits") as hdus:
        place = hdus.fileinfo(0)["file"].tell()
        require_sound_tiles(hdus[1], "a.fits")
        assert hdus.fileinfo(0)["file"].tell() == place
        assert (as_frame(hdus[1], argument="image").data == values).all()
        kept = hdus[1]
    assert (as_frame(kept, argument="image").data == values).all()
    assert (as_frame(fits.CompImageHDU(values), argument="image").data == values).all()
    with fits.open(io.BytesIO((tmp_path / "a.fits").read_bytes())) as hdus:
        assert (as_frame(hdus[1], argument="image").data == values).all()


@pytest.mark.parametrize("column", ["COMPRESSED_DATA", "GZIP_COMPRESSED_DATA"])
@pytest.mark.parametrize("streams", [1, 4])
def test_a_tile_that_becomes_a_thousand_times_itself(column, streams, tmp_path):
    """100 MB of zeros, in one stream or several one behind the other; the tile has 24 kB at the most."""
    stream = streams * gzip.compress(bytes(100 * MEGABYTE // streams))
    kind = "GZIP_1" if column == "COMPRESSED_DATA" else "RICE_1"
    with_heap(tmp_path / "a.fits", kind, stream, column=column)
    assert (tmp_path / "a.fits").stat().st_size < MEGABYTE / 4
    refused(
        tmp_path / "a.fits", "its tile 0 becomes more than 24576 bytes, uncompressed; the file is damaged"
    )


def test_a_tile_that_is_no_gzip(tmp_path):
    stream = np.random.default_rng(1).bytes(100_000)
    with_heap(tmp_path / "a.fits", "GZIP_1", stream)
    refused(tmp_path / "a.fits", "a tile cannot be uncompressed")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"ZNAXIS2": 480}, "it announces 30 tiles of which its table has 3"),
        ({"ZNAXIS1": 6400, "ZNAXIS2": 4800}, "it announces 30000 tiles of which its table has 3"),
        ({"ZTILE1": 1}, "it announces 192 tiles of which its table has 3"),
        ({"ZTILE1": 0}, r"it has tiles of \(0, 16\) pixels of an image of \(64, 48\)"),
        ({"ZTILE2": -5}, r"it has tiles of \(64, -5\) pixels of an image of \(64, 48\)"),
        ({"ZNAXIS2": 10**9}, "announces .* pixels and would need .* GB|its table has 3"),
    ],
)
def test_other_tiles_than_there_are(kind, changes, match, tmp_path):
    compressed(tmp_path / "a.fits", kind, tile=(16, NX))
    with fits.open(tmp_path / "a.fits", mode="update", disable_image_compression=True) as hdus:
        hdus[1].header.update(changes)
    refused(tmp_path / "a.fits", match)


@pytest.mark.parametrize("value", [8, 100_000, 3, 0, -1])
def test_bytes_of_a_pixel(value, tmp_path):
    compressed(tmp_path / "a.fits", "RICE_1", ZVAL2=value)
    refused(tmp_path / "a.fits", f"it announces BYTEPIX = {value}, not 1, 2 or 4")


@pytest.mark.parametrize("value", [0, -32, 2**40])
def test_pixels_of_a_block(value, tmp_path):
    compressed(tmp_path / "a.fits", "RICE_1", ZVAL1=value)
    refused(tmp_path / "a.fits", f"it announces BLOCKSIZE = {value}")


@pytest.mark.parametrize("value", [-7, 2**31])
def test_seed_of_the_dither(value, tmp_path):
    values = np.random.default_rng(1).normal(200, 50, (NY, NX)).astype("f4")
    image = fits.CompImageHDU(values, quantize_method=1, dither_seed=5)
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(tmp_path / "a.fits")
    with fits.open(tmp_path / "a.fits", mode="update", disable_image_compression=True) as hdus:
        hdus[1].header["ZDITHER0"] = value
    refused(tmp_path / "a.fits", f"it announces ZDITHER0 = {value}, not 1 to 10000")


@pytest.mark.parametrize("axis", [0, 1])
def test_the_size_in_a_stream_of_hcompress(axis, tmp_path):
    """The decompressor writes as many pixels as the stream names."""
    compressed(tmp_path / "a.fits", "HCOMPRESS_1")
    content = bytearray((tmp_path / "a.fits").read_bytes())
    at = content.index(b"\xdd\x99") + 2 + 4 * axis
    content[at : at + 4] = (1000).to_bytes(4, "big")
    (tmp_path / "a.fits").write_bytes(content)
    refused(tmp_path / "a.fits", "its tile 0 has not the size that the header announces")


def test_the_length_in_a_list_of_plio(tmp_path):
    """The decompressor reads as many runs as the list names."""
    compressed(tmp_path / "a.fits", "PLIO_1")
    content = bytearray((tmp_path / "a.fits").read_bytes())
    at = content.index((-100).to_bytes(2, "big", signed=True)) + 2
    content[at : at + 2] = (30_000).to_bytes(2, "big")
    (tmp_path / "a.fits").write_bytes(content)
    refused(tmp_path / "a.fits", "its tile 0 is cut short")


@pytest.mark.parametrize("word", [0, 1])
@pytest.mark.parametrize("value", [2**30, -5])
def test_tiles_that_lie_elsewhere(word, value, tmp_path):
    compressed(tmp_path / "a.fits", "RICE_1")
    with fits.open(tmp_path / "a.fits", disable_image_compression=True) as hdus:
        at = hdus[1].fileinfo()["datLoc"] + 4 * word
    content = bytearray((tmp_path / "a.fits").read_bytes())
    content[at : at + 4] = value.to_bytes(4, "big", signed=True)
    (tmp_path / "a.fits").write_bytes(content)
    refused(tmp_path / "a.fits", "its tile 0 is not all there")


# Reads mutants of a file, as many as it is told, and prints how many of them were read.
MUTATE_AND_READ = """
import re, sys, warnings
import numpy as np
from astroreg.files import open_image
warnings.simplefilter("ignore")
np.seterr(all="ignore")
content, count = open("a.fits", "rb").read(), int(sys.argv[1])
end = content.rindex(b"END" + bytes([32]) * 77)
table = end - end % 2880 + 2880
cards = "ZNAXIS ZNAXIS1 ZNAXIS2 ZTILE1 ZTILE2 ZVAL1 ZVAL2 NAXIS1 NAXIS2 PCOUNT THEAP ZBITPIX TFIELDS".split()
values = [0, -1, 1, 2, 3, 8, 7, 33, 1000, 20_000, 2**31 - 1, 10**12]
rng, read = np.random.default_rng(count), 0
for number in range(count):
    mutant = bytearray(content)
    if number % 3:
        for at in rng.integers(table, len(mutant), rng.integers(1, 30 if number % 2 else 3)):
            mutant[at] = rng.integers(256)
    else:
        for card in rng.choice(cards, 2):
            new = f"{card:8}= {rng.choice(values):>20}"
            mutant = re.sub(f"{card:8}= +-?[0-9]+".encode(), new.encode(), mutant, count=1)
    open("mutant.fits", "wb").write(mutant)
    try:
        open_image("mutant.fits")
        read += 1
    except (ValueError, OSError):
        pass
print(read)
"""


@pytest.mark.parametrize("count", [15, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", [*KINDS, "RICE_1, quantized"])
def test_damaged_tiles_do_not_crash_the_process(kind, count, tmp_path, record_property):
    """Cards, pointers and streams exchanged: a process of its own answers or refuses, and lives to tell."""
    name, _, quantized = kind.partition(", ")
    compressed(tmp_path / "a.fits", name, dtype="f4" if quantized else "i2")
    done = subprocess.run(
        [sys.executable, "-c", MUTATE_AND_READ, str(count)],
        cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    read = int(done.stdout.split()[-1])
    record_property("mutants", count)
    record_property("mutants read", read)
    assert 0 < read < count
