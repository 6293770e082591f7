"""``astroreg measure``: the table of the methods, for files on any grids."""

from __future__ import annotations

import json

import numpy as np
from astropy import units as u
from astropy.table import QTable

NAMES = ["chi2_shift", "register_images", "cross_correlation_shift"]
# The noise allows about 0.005 pixel, and 0.01 of the resampled images.
TOLERANCE = 0.06


def test_table_in_words(run, files):
    answer = run("measure", files / "reference.fits", files / "image.fits")
    assert (answer.status, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert lines[0].split()[:3] == ["method", "dx", "(pixel)"]
    assert [line.split()[0] for line in lines[1:4]] == NAMES
    assert lines[1].split()[1].startswith("3.4") or lines[1].split()[1].startswith("3.39")
    assert "chi2_shift and register_images differ by" in answer.out


def test_json_and_table_agree(run, files, sky):
    table = files / "t.ecsv"
    answer = run("measure", files / "reference.fits", files / "image.fits", "--json", "--table", table)
    found = json.loads(answer.out)
    assert found["trusted"] is True
    assert list(found["methods"]) == NAMES
    rows = QTable.read(table)
    for row, name in zip(rows, NAMES, strict=True):
        shift = found["methods"][name]["shift"]
        assert np.allclose([shift["x"], shift["y"]], sky.shift, atol=TOLERANCE)
        assert row["dx"].to_value(u.pixel) == shift["x"]
    assert {tuple(pair["methods"]) for pair in found["agreement"]} == {
        (NAMES[0], NAMES[1]), (NAMES[0], NAMES[2]), (NAMES[1], NAMES[2])
    }  # fmt: skip
    assert all(0 <= pair["larger_errors"] < 5 for pair in found["agreement"])


def test_grids_that_differ_are_brought_together(run, files, sky):
    answer = run("measure", files / "reference.fits", files / "turned.fits", "--json", "--max-shift", "9pix")
    shift = json.loads(answer.out)["methods"]["chi2_shift"]["shift"]
    assert np.allclose([shift["x"], shift["y"]], sky.shift, atol=TOLERANCE)


def test_pixel_by_pixel(run, files, sky):
    # One and the same image with two WCS: their pixels agree, their coordinates do not.
    from astropy.io import fits

    with fits.open(files / "reference.fits") as hdus:
        hdus[0].header["CRPIX1"] += 5
        hdus.writeto(files / "moved.fits")
    first = run("measure", files / "reference.fits", files / "moved.fits", "--json")
    second = run("measure", files / "reference.fits", files / "moved.fits", "--json", "--pixels")
    by_sky, by_pixel = (json.loads(one.out)["methods"]["chi2_shift"]["shift"]["x"] for one in (first, second))
    assert abs(by_sky + 5) < 0.01
    assert abs(by_pixel) < 0.01


def test_files_that_do_not_overlap(run, files):
    answer = run("measure", files / "reference.fits", files / "elsewhere.fits")
    assert answer.status == 1
    assert "do not overlap on the sky; --pixels compares them" in answer.err


def test_an_answer_that_is_none(run, files):
    answer = run("measure", files / "reference.fits", files / "noise.fits")
    assert answer.status == 3
    assert answer.err.startswith("astroreg: warning: ")
    assert answer.err.count("\n") == 1
    assert "not determined" in answer.out


def test_the_table_is_not_overwritten(run, files):
    table = files / "t.ecsv"
    table.write_text("mine")
    answer = run("measure", files / "reference.fits", files / "image.fits", "--table", table)
    assert answer.status == 1
    assert table.read_text() == "mine"
