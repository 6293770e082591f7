"""Small files that announce, or uncompress to, more than there is room for: refused before it is taken."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import tracemalloc
import zipfile

import numpy as np
import pytest
from astropy.io import fits

from astroreg.exceptions import AstroregWarning, CorrectionError
from astroreg.files import correct_file, open_image
from astroreg.memory import memory_limit, require_memory
from astroreg.sky import correct_header
from tests.files.conftest import celestial_cards, lookup_tables

BLOCK = 2880
MEGABYTE = 2**20


@pytest.fixture
def sound():
    """The bytes of a file that is well: its header, its padded data."""
    hdu = fits.PrimaryHDU(np.ones((48, 64), "f4"), celestial_cards())
    data = hdu.data.astype(">f4").tobytes()
    return hdu.header.tostring().encode(), data + bytes(-len(data) % BLOCK)


def with_value(head, keyword, value):
    """Change the value of one card."""
    return re.sub(f"{keyword:8}= +\\d+".encode(), f"{keyword:8}= {value:>20}".encode(), head, count=1)


def refused(path, correction, output, match, *, reading=None):
    """Both ways to use a file: a refusal with the figures, little memory taken, and nothing written."""
    tracemalloc.start()
    with pytest.raises(ValueError, match=reading or match):
        open_image(path)
    with pytest.raises(ValueError, match=match):
        correct_file(path, correction, output)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # What a reader needs for the headers, of which the longest is 6 MB, cut into cards.
    assert peak < 40 * MEGABYTE
    assert not output.exists()


def test_an_image_that_uncompresses_to_gigabytes(sound, correction, tmp_path):
    """A gzip stream of zeros: a thousandth of what it becomes, and here its beginning only."""
    path, side = tmp_path / "bomb.fits.gz", int(memory_limit() ** 0.5)
    head = with_value(with_value(sound[0], "NAXIS1", side), "NAXIS2", side)
    with gzip.open(path, "wb") as file:
        file.write(head)
        file.write(bytes(50 * MEGABYTE))
    assert path.stat().st_size < MEGABYTE
    refused(
        path, correction, tmp_path / "out.fits", r"bomb\.fits\.gz, uncompressed, would need .* GB, more than"
    )


@pytest.mark.parametrize("opener", [open, gzip.open])
def test_megabytes_of_zeros_behind_the_end(sound, correction, opener, tmp_path):
    path = tmp_path / "file.fits"
    with opener(path, "wb") as file:
        file.write(b"".join(sound))
        file.write(bytes(20 * MEGABYTE))
    refused(path, correction, tmp_path / "out.fits", r"there is no END in 5\.76 MB after byte 17280")


def test_a_header_without_end(sound, correction, tmp_path):
    path = tmp_path / "file.fits.gz"
    with gzip.open(path, "wb") as file:
        file.write(sound[0].replace(b"END".ljust(80), b"COMMENT".ljust(80)))
        file.write(b"COMMENT".ljust(80) * 100_000)
    refused(path, correction, tmp_path / "out.fits", r"there is no END in 5\.76 MB after byte 0")


def test_headers_that_never_come_to_an_end_of_their_own(sound, correction, tmp_path, monkeypatch):
    monkeypatch.setattr("astroreg.files.streams._LARGEST_HEADERS", MEGABYTE)
    head = fits.ImageHDU().header.tostring(endcard=False, padding=False).encode() + 1000 * b"COMMENT".ljust(
        80
    )
    head += b"END".ljust(80)
    path = tmp_path / "file.fits.gz"
    path.write_bytes(gzip.compress(b"".join(sound) + 20 * head.ljust(-(-len(head) // BLOCK) * BLOCK)))
    refused(path, correction, tmp_path / "out.fits", "holds more than 1 MB of headers")


def zipped(path, contents):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"{number}.fits", content)


def test_an_archive_that_becomes_more_than_the_memory(sound, correction, tmp_path, monkeypatch):
    """A reader would unpack it as a whole before it looks at the first card."""
    monkeypatch.setattr("astroreg.memory.memory_limit", lambda: 100e6)
    zipped(tmp_path / "bomb.zip", [b"".join(sound) + bytes(50 * MEGABYTE)])
    assert (tmp_path / "bomb.zip").stat().st_size < MEGABYTE
    refused(
        tmp_path / "bomb.zip", correction, tmp_path / "out.fits", r"bomb\.zip, uncompressed, would need .* GB"
    )


def test_an_archive_of_several_files(sound, correction, tmp_path):
    zipped(tmp_path / "file.zip", [b"".join(sound)] * 2)
    refused(
        tmp_path / "file.zip", correction, tmp_path / "out.fits", "is an archive of 2 files; take the one"
    )


def without_time(content):
    """The bytes of a file without the time in its HISTORY, which is that of the call."""
    return re.sub(rb"\d\d:\d\d:\d\d", b"", content)


def test_an_archive_of_one_file_is_corrected(sound, correction, tmp_path):
    zipped(tmp_path / "file.zip", [b"".join(sound)])
    (tmp_path / "file.fits").write_bytes(b"".join(sound))
    assert (open_image(tmp_path / "file.zip").data == 1).all()
    for output in ("out.fits", "out.zip"):
        correct_file(tmp_path / "file.zip", correction, tmp_path / output)
    correct_file(tmp_path / "file.fits", correction, tmp_path / "plain.fits")
    wanted = without_time((tmp_path / "plain.fits").read_bytes())
    assert without_time((tmp_path / "out.fits").read_bytes()) == wanted
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert without_time(archive.read("out")) == wanted


def test_a_compression_that_is_not_known(correction, tmp_path):
    (tmp_path / "file.fits.Z").write_bytes(b"\x1f\x9d\x90" + bytes(3000))
    refused(
        tmp_path / "file.fits.Z", correction, tmp_path / "out.fits", r"by `compress` \(\.Z\); uncompress it"
    )


@pytest.mark.parametrize("module", [gzip, bz2, lzma, zipfile], ids=lambda module: module.__name__)
@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_compressed_file_that_is_damaged(module, place, correction, tmp_path):
    """One byte of the stream in its first, middle or last part; each module complains in its own words."""
    data = np.random.default_rng(1).normal(0, 10, (48, 64)).astype(">f4").tobytes()
    content = fits.PrimaryHDU(np.ones((48, 64), "f4"), celestial_cards()).header.tostring().encode() + data
    path, output = tmp_path / "file.fits", tmp_path / "out.fits"
    if module is zipfile:
        zipped(path, [content])
    else:
        path.write_bytes(module.compress(content))
    damaged = bytearray(path.read_bytes())
    damaged[int(place * len(damaged))] ^= 0xFF
    path.write_bytes(damaged)
    refused(
        path, correction, output, r"file\.fits is|file\.fits cannot be read|cut short", reading=r"file\.fits"
    )


def test_more_hdus_than_any_file_has(sound, correction, tmp_path, monkeypatch):
    monkeypatch.setattr("astroreg.files.streams._MOST_HDUS", 50)
    path, extension = tmp_path / "file.fits.gz", fits.ImageHDU().header.tostring().encode()
    path.write_bytes(gzip.compress(b"".join(sound) + extension * 51))
    refused(path, correction, tmp_path / "out.fits", "holds more than 50 HDUs")


@pytest.mark.parametrize("side", [20_000, 10**9])
def test_announced_sizes(sound, correction, side, tmp_path):
    path = tmp_path / "file.fits"
    path.write_bytes(with_value(with_value(sound[0], "NAXIS1", side), "NAXIS2", side) + sound[1])
    answers = "announces .* would need .* GB, more than half|cut short|not a FITS file that can be read"
    refused(path, correction, tmp_path / "out.fits", answers)


@pytest.mark.parametrize("keyword", ["ZNAXIS1", "NAXIS2", "PCOUNT"])
def test_announced_sizes_of_tiles(correction, keyword, tmp_path):
    """What the table of tiles announces counts as well as what the image does."""
    path, output = tmp_path / "file.fits", tmp_path / "out.fits"
    image = fits.CompImageHDU(np.ones((48, 64), "f4"), celestial_cards(), compression_type="GZIP_1")
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(path)
    path.write_bytes(with_value(path.read_bytes(), keyword, 10**12))
    with pytest.raises(ValueError, match=r"announces .* would need .* GB|not a FITS file that can be read"):
        open_image(path)
    if keyword == "ZNAXIS1":  # the header can be corrected without a look at the pixels
        correct_file(path, correction, output)
    else:
        with pytest.raises(ValueError, match=r"is cut short|not a FITS file"):
            correct_file(path, correction, output)


def test_the_estimate_names_both_figures():
    limit = memory_limit()
    require_memory(limit / 3, "this", "do that")
    with pytest.raises(
        ValueError, match=rf"this would need {limit / 1e9:.3g} GB, more than half of the .*; do that"
    ):
        require_memory(limit, "this", "do that")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (("DP1", "NAXES: 2.0"), r"DP1\.NAXES stands twice"),
        (("DQ1", "NAXES: 99.0"), r"DQ1\.NAXES is 99\.0"),
        (("DP1", "AXIS.1: 1.0"), r"DP1\.AXIS\.1 stands twice"),
    ],
)
def test_records_that_wcslib_would_choke_on(change, match, correction, tmp_path):
    """It writes beyond the end of its arrays: nothing is asked of it."""
    pointers, tables = lookup_tables(1)
    header = celestial_cards()
    for card in [*pointers.cards, fits.Card(*change)]:
        header.append(card)
    path = tmp_path / "file.fits"
    fits.HDUList([fits.PrimaryHDU(np.ones((48, 64), "f4"), header), *tables]).writeto(path)
    with pytest.warns(AstroregWarning, match=rf"the WCS of .*file\.fits cannot be used \({match}"):
        assert open_image(path).wcs is None
    with pytest.raises(CorrectionError, match=match):
        correct_file(path, correction, tmp_path / "out.fits")
    if change[0] == "DP1":  # without the file the tables are left out, and with them what stands twice
        assert correct_header(header, correction)["WCSNAME"] == "ASTROREG-1"
