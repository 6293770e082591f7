"""``astroreg align --check-sources``."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy.io import fits

from astroreg.simulation import simulate_pair


@pytest.fixture(scope="module")
def stars(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stars")
    pair = simulate_pair((120, 120), shift=(3.4, -2.3), snr=10, fwhm=3, point_sources=25, rng=2)
    for name in ("reference", "image"):
        getattr(pair, name).write(folder / f"{name}.fits")
    return folder


def test_words(run, stars):
    answer = run("align", stars / "reference.fits", stars / "image.fits", "--dry-run", "--check-sources")
    assert answer.status == 0
    assert "point sources found; they differ by dx " in answer.out


def test_json(run, stars):
    call = ["align", stars / "reference.fits", stars / "image.fits", "--dry-run", "--json"]
    record = json.loads(run(*call, "--check-sources", "--source-fwhm", "3.5").out)["results"][0]["sources"]
    assert record["matched"] >= 3
    assert record["agrees"] is True
    assert record["sigmas"] < 4
    assert np.hypot(record["shift"]["x"] - 3.4, record["shift"]["y"] + 2.3) < 0.1
    assert json.loads(run(*call).out)["results"][0]["sources"] is None


def test_no_stars(run, files):
    call = ["align", files / "reference.fits", files / "image.fits", "--dry-run", "--check-sources"]
    answer = run(*call, "--json")
    assert answer.status == 0
    record = json.loads(answer.out)["results"][0]["sources"]
    assert record["sigmas"] is None
    assert record["agrees"] is None
    assert "fewer than three in common" in run(*call).out


def test_a_cube_is_told_where_to_go(run, tmp_path):
    fits.writeto(tmp_path / "cube.fits", np.ones((4, 20, 20)))
    answer = run("align", tmp_path / "cube.fits", tmp_path / "cube.fits", "--dry-run")
    assert answer.status == 1
    assert "astroreg.register_cube takes two cubes" in answer.err
