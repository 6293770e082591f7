"""Files that are damaged anywhere: an answer or a clear refusal, and nothing left over."""

import warnings

import numpy as np
import pytest
from astropy.io import fits

from astroreg.exceptions import AstroregWarning
from astroreg.files import correct_file, open_image

GARBAGE = (
    b"1e400",
    b"-1",
    b"0",
    b"NaN",
    b"'abc'",
    b"99999999999999999999",
    b"'",
    b"T",
    b"1.5",
    b"'DEC--AZP'",
)


def mutated(content, heads, rng):
    """Damage a file in its headers: bytes, values, the order of cards, single bits, the end."""
    mutant = bytearray(content)
    for _ in range(rng.integers(1, 6)):
        head = heads[rng.integers(len(heads))]
        card, other = (head + 80 * rng.integers(0, 36) for _ in range(2))
        mode = rng.integers(4)
        if mode == 0:
            mutant[card + rng.integers(80)] = rng.integers(256)
        elif mode == 1:
            mutant[card + 10 : card + 30] = GARBAGE[rng.integers(len(GARBAGE))].rjust(20)
        elif mode == 2:
            mutant[card : card + 80], mutant[other : other + 80] = (
                mutant[other : other + 80],
                mutant[card : card + 80],
            )
        else:
            mutant[rng.integers(len(mutant))] ^= 1 << rng.integers(8)
    return bytes(mutant[: rng.integers(1, len(mutant))] if rng.random() < 0.1 else mutant)


@pytest.mark.parametrize("count", [40, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["plain", "tiles"])
def test_damaged_files_are_corrected_or_refused(
    kind, count, plain_file, correction, tmp_path, record_property
):
    """Never an error of another class, never a file that is half written or left over."""
    path, output = tmp_path / "in" / "mutant.fits", tmp_path / "out" / "out.fits"
    path.parent.mkdir()
    output.parent.mkdir()
    if kind == "tiles":
        with fits.open(plain_file) as hdus:
            image = fits.CompImageHDU(hdus[0].data, hdus[0].header)
            fits.HDUList([fits.PrimaryHDU(), image]).writeto(plain_file, overwrite=True)
    content = plain_file.read_bytes()
    rng = np.random.default_rng(count)
    corrected = 0
    for _ in range(count):
        path.write_bytes(mutated(content, [0, 2880] if kind == "tiles" else [0], rng))
        output.unlink(missing_ok=True)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", AstroregWarning)
                correct_file(path, correction, output)
        except (OSError, ValueError):
            assert not output.exists()
        else:
            corrected += 1
            assert b"ASTREG01" in output.read_bytes()
        assert len(list(output.parent.iterdir())) == output.exists()
    record_property("mutants", count)
    record_property("mutants corrected", corrected)
    assert 0 < corrected < count


def test_impossible_counts_are_refused_at_once(plain_file, correction, tmp_path):
    content = plain_file.read_bytes()
    plain_file.write_bytes(
        content.replace(b"NAXIS   =                    2", b"NAXIS   =           9999999999")
    )
    with pytest.raises(
        ValueError, match=r"is damaged: it announces NAXIS = 9999999999, FITS allows 0 to 999"
    ):
        correct_file(plain_file, correction, tmp_path / "out.fits")


@pytest.mark.slow
def test_damaged_files_are_read_or_refused(exposure_file, tmp_path, record_property):
    """Seeded mutations of a file: an image, or an error of the announced classes."""
    content = exposure_file.read_bytes()
    rng = np.random.default_rng(20)
    read = refused = 0
    path = tmp_path / "mutant.fits"
    for _ in range(600):
        mutant = bytearray(content)
        for at in rng.integers(0, len(mutant), rng.integers(1, 30)):
            mutant[at] ^= 1 << rng.integers(8)
        head = rng.integers(0, 2880 * 3, 3)
        for at in head:
            mutant[at] = rng.integers(256)
        path.write_bytes(mutant[: rng.integers(1, len(mutant))] if rng.random() < 0.3 else mutant)
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore", AstroregWarning)
                open_image(path)
            read += 1
        except (ValueError, OSError):
            refused += 1
    assert read + refused == 600
    record_property("mutants", 600)
    record_property("mutants read", read)
    assert refused > 0
    assert read > 0
