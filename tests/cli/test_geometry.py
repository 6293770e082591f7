"""``astroreg align --geometry``: what is written, printed and refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits

from astroreg.simulation import SphericalSky, tan_wcs
from astroreg.sky import SkyCorrection, correct_wcs

# As in tests/test_align_geometry.py: 16 tiles tell the corners to 0.02 pixel, this is six sigma and more.
TOLERANCE = 0.15


def turned(wcs, *, roll=2.0, scale=1.02):
    """A WCS that is wrong by a roll in degree, a scale, and a shift."""
    middle = wcs.pixel_to_world(41.5, 39.5)
    error = SkyCorrection.from_coordinates(middle, middle.spherical_offsets_by(3 * u.arcsec, 2 * u.arcsec))
    vector = error.with_roll(roll * u.deg).rotation_vector
    return correct_wcs(wcs, SkyCorrection(vector, middle, None, scale * np.eye(2)))


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A reference, an image whose header is wrong by shift, roll and scale, and a distorted one."""
    folder = tmp_path_factory.mktemp("turned")
    true = tan_wcs((80, 84), rotation=20 * u.deg)
    sky = SphericalSky(radius=1.6 * u.arcmin, smallest=3 * u.arcsec, rng=5)
    optics = {"fwhm": 3 * u.arcsec, "noise": 0.03}
    sky.observe(tan_wcs((100, 100)), rng=1, **optics).write(folder / "reference.fits")
    image = sky.observe(true, rng=2, claimed_wcs=turned(true), **optics)
    image.write(folder / "image.fits")
    return folder


def test_the_model_is_written_and_taken_back(run, sky, scene, tmp_path):
    call = ["align", scene / "reference.fits", scene / "image.fits", "--tiles", "4"]
    answer = run(*call, "-o", tmp_path / "out.fits", "--geometry", "auto")
    assert answer.status == 0
    assert answer.err == ""
    assert "geometry: rscale, from 16 of 16 tiles" in answer.out
    assert "rotation: " in answer.out and "scale of lengths: 1.0" in answer.out
    assert sky.left_over(scene / "image.fits") > 2
    assert sky.left_over(tmp_path / "out.fits") < TOLERANCE
    history = " ".join(str(fits.getheader(tmp_path / "out.fits")["HISTORY"]).split())
    assert "geometry rscale, from 16 of 16 tiles" in history
    assert run("undo", tmp_path / "out.fits", "-o", tmp_path / "back.fits").status == 0
    before, after = (fits.getheader(path) for path in (scene / "image.fits", tmp_path / "back.fits"))
    assert [after.cards[name].image for name in before] == [card.image for card in before.cards]


def test_json(run, scene):
    call = ["align", scene / "reference.fits", scene / "image.fits", "--dry-run", "--json"]
    found = json.loads(run(*call, "--geometry", "general", "--tiles", "4").out)["results"][0]["geometry"]
    assert found["name"] == "general"
    assert found["tiles"] == found["tiles_used"] == 16
    assert found["distorted"] is False and found["flags"] == []
    assert found["rotation"]["unit"] == "deg"
    assert abs(found["scale_of_lengths"]["value"] - 1.02) < 5 * found["scale_of_lengths"]["error"]
    assert np.shape(found["matrix"]) == np.shape(found["matrix_error"]) == (2, 2)
    assert set(found["models"]) == {"shift", "rshift", "rscale", "general"}
    assert json.loads(run(*call).out)["results"][0]["geometry"] is None


def test_distortion_is_told_on_stderr(run, scene, tmp_path):
    # A rotation alone does not hold where there is a scale as well. With 4 x 4 tiles one of them is at the
    # limit of what counts as an outlier, and the passes go to and fro.
    call = ["align", scene / "reference.fits", scene / "image.fits", "--tiles", "3", "--geometry", "rshift"]
    answer = run(*call, "-o", tmp_path / "out.fits")
    assert "DISTORTION: No linear model explains the shifts" in answer.err
    assert answer.status == 0


def test_scamp_head_holds_the_matrix(run, sky, scene, tmp_path):
    call = ["align", scene / "reference.fits", scene / "image.fits", "--tiles", "4", "--geometry", "rscale"]
    assert run(*call, "-o", tmp_path / "out.fits", "--head", tmp_path / "out.head").status == 0
    head = fits.Header.fromtextfile(tmp_path / "out.head")
    written = sky.wcs_of(tmp_path / "out.fits")
    matrix = [[head["CD1_1"], head["CD1_2"]], [head["CD2_1"], head["CD2_2"]]]
    assert np.allclose(matrix, written.pixel_scale_matrix, rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tiles", "4"], "--tiles is for --geometry"),
        (["--geometry", "rscale", "--kind", "detector"], "--geometry rscale is for --kind pointing"),
        (["--geometry", "auto", "--roll", "keep-pa"], "measures the roll"),
        (["--geometry", "affine"], "invalid choice: 'affine'"),
        (["--geometry", "auto", "--tiles", "0"], "no whole number > 0"),
    ],
)
def test_wrong_usage(usage, scene, options, message):
    assert message in usage("align", scene / "reference.fits", scene / "image.fits", "--dry-run", *options)
