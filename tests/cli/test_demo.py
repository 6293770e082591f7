"""``astroreg demo``: it needs nothing, and finds what was injected."""

from __future__ import annotations

import json

import numpy as np
import pytest

from astroreg.cli import demo
from astroreg.cli.demo_scene import simulate

FITS = ["demo_corrected.fits", "demo_image.fits", "demo_reference.fits"]


def test_the_injected_error_is_found(run, tmp_path):
    answer = run("demo", "--out-dir", tmp_path / "d", "--json")
    assert (answer.status, answer.err) == (0, "")
    found = json.loads(answer.out)
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == ["demo.png", *FITS]
    assert 6 < np.hypot(*found["injected"]) < 12
    assert np.allclose(np.subtract(found["recovered"], found["injected"]), found["error"])
    # 5 sigma of two axes, of the quoted errors
    assert np.all(np.abs(found["error"]) < 5 * np.array(found["quoted_error"]))
    assert found["sigmas"] < 5
    assert found["largest_after"] < 0.1 < 6 < found["largest_before"]
    assert (tmp_path / "d" / "demo.png").read_bytes().startswith(b"\x89PNG")


def test_it_can_be_run_twice_and_without_matplotlib(run, tmp_path, monkeypatch, sky):
    def without(*arguments, **options):
        raise ImportError("no module named matplotlib")

    monkeypatch.setattr(demo, "draw", without)
    monkeypatch.chdir(tmp_path)
    run("demo", "-q")
    answer = run("demo")
    assert answer.status == 0
    assert answer.err.startswith("astroreg: no picture: it needs matplotlib; install it with: pip install")
    assert sorted(path.name for path in (tmp_path / "astroreg_demo").iterdir()) == FITS
    for word in ("injected:", "recovered:", "error:", "sigma", "demo_corrected.fits"):
        assert word in answer.out


def test_files_in_a_folder_of_the_users_are_left_alone(run, tmp_path):
    mine = tmp_path / "demo_image.fits"
    mine.write_text("mine")
    answer = run("demo", "--out-dir", tmp_path)
    assert answer.status == 1
    assert f"{mine} exists" in answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["demo_image.fits"]


@pytest.mark.parametrize("seed", [1, 7])
def test_the_scene_is_that_of_the_seed(seed):
    one, two = simulate(seed), simulate(seed)
    assert np.array_equal(one.image.data, two.image.data)
    assert not np.array_equal(one.image.data, simulate(seed + 1).image.data)
    # what makes it a job: nothing of the two is alike
    assert one.reference.shape != one.image.shape
    assert one.reference.wcs.wcs.ctype[0] == "RA---TAN"
    assert one.image.wcs.wcs.ctype[0] == "GLON-TAN"
    assert not one.reference.unit.is_equivalent(one.image.unit)
    assert one.image.mask.any() and one.reference.mask.any()
