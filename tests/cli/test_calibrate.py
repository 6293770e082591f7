"""``astroreg calibrate``: the numbers of the library, printed."""

from __future__ import annotations

import json

from astropy.table import QTable

DRAWS = ("--draws", "3", "--method", "chi2", "--seed", "2", "--pixels")


def test_words_and_table(run, files):
    table = files / "t.ecsv"
    answer = run("calibrate", files / "reference.fits", files / "image.fits", *DRAWS, "--table", table)
    assert answer.status == 0
    assert {"n_draws", "gross", "efficiency", "ratio", "coverage"} <= set(answer.out.split())
    rows = QTable.read(table)
    assert list(rows["axis"]) == ["x", "y"]
    assert rows["deviation"].shape == (2, 3)


def test_json_has_units_in_its_names(run, files):
    answer = run("calibrate", files / "reference.fits", files / "image.fits", *DRAWS, "--json")
    found = json.loads(answer.out)
    first, second = found["rows"]
    assert (first["method"], first["axis"], second["axis"]) == ("chi2_shift", "x", "y")
    assert first["n_draws"] == 3
    assert 0 < first["std_pixel"] < 0.05
    assert "deviation_pixel" not in first


def test_no_signal_is_a_failure(run, files):
    answer = run("calibrate", files / "reference.fits", files / "noise.fits", *DRAWS)
    assert answer.status == 1
    assert "`fit` has no finite shift" in answer.err


def test_wrong_usage(usage):
    assert "'none' is no whole number > 0" in usage("calibrate", "r", "i", "--draws", "none")
