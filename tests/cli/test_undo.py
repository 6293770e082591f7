"""``astroreg undo``: exact, and only where there is something to undo."""

from __future__ import annotations

import pytest
from astropy.io import fits


@pytest.fixture
def corrected(run, files):
    path = files / "corrected.fits"
    assert run("align", files / "reference.fits", files / "image.fits", "-o", path).status == 0
    return path


def without_history(path):
    header = fits.getheader(path)
    header.remove("HISTORY", ignore_missing=True, remove_all=True)
    return header.tostring()


def test_every_card_is_what_it_was(run, files, corrected):
    assert without_history(corrected) != without_history(files / "image.fits")
    answer = run("undo", corrected, "-o", files / "back.fits")
    assert (answer.status, answer.err) == (0, "")
    assert answer.out == f"written: {files / 'back.fits'}\n"
    assert without_history(files / "back.fits") == without_history(files / "image.fits")
    with fits.open(files / "image.fits") as before, fits.open(files / "back.fits") as after:
        assert [hdu.data.tobytes() for hdu in before] == [hdu.data.tobytes() for hdu in after]


def test_in_place(run, files, corrected):
    refused = run("undo", corrected, "-o", corrected)
    assert refused.status == 1
    assert "exists; give another name, or --overwrite" in refused.err
    assert run("undo", corrected, "-o", corrected, "--overwrite").status == 0
    assert without_history(corrected) == without_history(files / "image.fits")


def test_nothing_to_undo(run, files, sky):
    before = sky.listing(files)
    answer = run("undo", files / "image.fits", "-o", files / "o.fits")
    assert answer.status == 1
    assert "holds no correction made by astroreg; there is nothing to undo" in answer.err
    assert sky.listing(files) == before


def test_wrong_usage(usage):
    assert "required: -o/--output" in usage("undo", "a.fits")
