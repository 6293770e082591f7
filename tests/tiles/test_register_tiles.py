"""`register_tiles`: fields of shifts, the model they support, flags, tables, plots, bad input."""

from __future__ import annotations

import warnings
from io import StringIO

import matplotlib as mpl
import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.table import QTable
from astropy.wcs import WCS

from astroreg import AstroregWarning, ShiftFlag, cross_correlation_shift, register_tiles
from astroreg.simulation import tan_wcs
from astroreg.tiles import FieldFlag, describe_field
from tests.tiles.conftest import make_scene, similarity

# Answers are compared with the truth to five of their own errors; with a dozen numbers a test that is one
# chance in 100 000.
SIGMAS = 5


@pytest.fixture(scope="module")
def shifted():
    """A shift, measured in 3 x 3 tiles."""
    pair = make_scene(96, shift=(2.3, -1.6), seed=2).pair(1)
    return pair, register_tiles(*pair, tiles=3)


@pytest.fixture(scope="module")
def turned():
    """Shift, rotation of 3 degrees and scale of 1.03, without a prior."""
    pair = make_scene(128, matrix=similarity(3, 1.03), shift=(4, -7), seed=1).pair(2)
    return pair, register_tiles(*pair, tiles=4)


def within(value, error, truth):
    return np.all(np.abs(np.asarray(value) - truth) < SIGMAS * np.asarray(error))


def test_a_shift(shifted):
    _, field = shifted
    assert field.ok
    assert field.geometry == "shift"
    assert field.flags == 0
    assert within(field.model.shift.value, field.model.shift_error.value, [2.3, -1.6])
    for tile in field.tiles:
        assert within(tile.shift.value, tile.shift_error.value, [2.3, -1.6])
        assert np.allclose((tile.shift - tile.residual).value, field.model.shift.value, rtol=0, atol=1e-6)
    # nine tiles of equal weight have a third of the error of one
    typical = np.median([tile.shift_error.value for tile in field.tiles])
    assert 0.2 < np.median(field.model.shift_error.value) / typical < 0.4


def test_rotation_and_scale_without_a_prior(turned):
    _, field = turned
    model = field.model
    assert field.geometry == "rscale"
    assert within(model.shift.value, model.shift_error.value, [4, -7])
    assert within(model.rotation.value, model.rotation_error.value, 3.0)
    assert within(model.scale, model.scale_error, 1.03)
    assert within(model.matrix, model.matrix_error, similarity(3, 1.03))
    assert model.rotation_error < 0.05 * u.deg
    # The shift at any tile is that of the map at its place, p - q(p).
    places = field.places - field.pivot_pixel
    truth = np.array([4, -7]) + places - places @ np.linalg.inv(similarity(3, 1.03)).T
    used = np.array([tile.used for tile in field.tiles])
    errors = np.array([tile.shift_error.value for tile in field.tiles])
    assert within(field.shifts.value[used], errors[used], truth[used])


def test_a_shear_needs_the_general_model():
    matrix = np.array([[1.01, 0.012], [0.0, 0.985]])
    field = register_tiles(*make_scene(128, matrix=matrix, shift=(1, 2), seed=3).pair(3), tiles=4)
    assert field.geometry == "general"
    assert within(field.model.matrix, field.model.matrix_error, matrix)


def test_a_model_that_is_asked_for_is_taken(turned):
    pair, _ = turned
    with pytest.warns(AstroregWarning, match="DISTORTION"):
        field = register_tiles(*pair, tiles=4, geometry="rshift")
    assert field.geometry == "rshift"
    assert set(field.models) == {"shift", "rshift"}
    # errors are those of the scatter where the model does not hold
    assert field.model.rotation_error > 0.05 * u.deg


def test_distortion_is_told():
    def barrel(x, y):
        r2 = (x**2 + y**2) / 64**2
        return x / 64 * r2, y / 64 * r2

    pair = make_scene(128, shift=(1, 2), distortion=barrel, seed=4).pair(4)
    with pytest.warns(AstroregWarning, match="DISTORTION: No linear model explains the shifts"):
        field = register_tiles(*pair, tiles=4)
    assert field.distorted
    assert field.ok  # a linear model may still be the better WCS


def test_a_tile_without_signal_is_left_out():
    reference, image = make_scene(96, shift=(1.3, -0.6), seed=5).pair(5)
    rng = np.random.default_rng(6)
    image.data[:32, :32] = rng.standard_normal((32, 32)) / 20
    field = register_tiles(reference, image, tiles=3)
    empty = field.tiles[0]
    assert ShiftFlag.NO_SIGNAL in empty.flags
    assert np.isnan(empty.shift.value).all() and np.isnan(empty.covariance.value).all()
    assert not empty.used
    assert sum(tile.used for tile in field.tiles) == 8
    assert within(field.model.shift.value, field.model.shift_error.value, [1.3, -0.6])


def test_a_masked_tile_is_left_out_and_nothing_is_changed():
    reference, image = make_scene(96, shift=(1.3, -0.6), seed=5).pair(5)
    image.mask = np.zeros(image.shape, bool)
    image.mask[64:, 64:] = True
    image.data[64:, 64:] = np.nan
    before = [plane.copy() for plane in (reference.data, image.data, image.mask, image.uncertainty.array)]
    field = register_tiles(reference, image, tiles=3)
    assert field.tiles[-1].flags == ShiftFlag.NO_OVERLAP
    assert not field.tiles[-1].used
    after = [reference.data, image.data, image.mask, image.uncertainty.array]
    assert all(np.array_equal(one, two, equal_nan=True) for one, two in zip(before, after, strict=True))


def test_a_tile_that_moves_by_itself_is_an_outlier():
    reference, image = make_scene(120, shift=(0.3, -0.6), seed=7).pair(7)
    image.data[24:48, 48:72] = image.data[24:48, 50:74]
    field = register_tiles(reference, image, tiles=5)
    assert FieldFlag.OUTLIERS in field.flags
    assert not field.tiles[7].used
    assert field.geometry == "shift"
    assert within(field.model.shift.value, field.model.shift_error.value, [0.3, -0.6])


def test_noise_alone_gives_nothing():
    rng = np.random.default_rng(8)
    pair = [CCDData(rng.standard_normal((64, 64)), unit="adu") for _ in "ab"]
    with pytest.warns(AstroregWarning, match="NO_TILES"):
        field = register_tiles(*pair, tiles=2)
    assert not field.ok
    assert field.model is None
    assert str(field).startswith("field of shifts not determined")
    assert np.isnan(field.shifts.value).all()
    assert "not determined" in field._repr_html_()


def test_plain_arrays_and_another_method():
    scene = make_scene(96, shift=(2.3, -1.6), seed=2)
    reference, image = scene.pair(1)
    field = register_tiles(reference.data, image.data, tiles=(3, 2), method=cross_correlation_shift)
    assert field.method == "cross_correlation_shift"
    assert len(field) == 6
    assert all(ShiftFlag.NOISE_ESTIMATED in tile.flags for tile in field.tiles)
    assert within(field.model.shift.value, field.model.shift_error.value, [2.3, -1.6])


def test_by_the_coordinates_instead_of_the_pixels(shifted):
    # The reference has its own WCS, moved by 12.25 pixels: the shift left on the sky is less by that much.
    (reference, image), _ = shifted
    one, two = reference.copy(), image.copy()
    one.wcs, two.wcs = tan_wcs((96, 96)), tan_wcs((96, 96))
    two.wcs.wcs.crpix = two.wcs.wcs.crpix + [2.0, -1.75]
    field = register_tiles(one, two, tiles=3, grid="sky")
    assert field.geometry == "shift"
    assert within(field.model.shift.value, field.model.shift_error.value, [0.3, 0.15])


def test_table_can_be_written_and_read(turned):
    _, field = turned
    table = field.to_table()
    text = StringIO()
    table.write(text, format="ascii.ecsv")
    again = QTable.read(text.getvalue(), format="ascii.ecsv")
    assert again.colnames == table.colnames
    for name in set(table.colnames) - {"flag_names"}:  # ECSV reads an empty text as masked
        assert np.array_equal(again[name], table[name], equal_nan=table[name].dtype.kind == "f"), name
    assert list(again["flag_names"].filled("")) == list(table["flag_names"])
    assert again["dx"].unit == u.pixel
    assert again.meta["geometry"] == "rscale"
    assert again.meta["models"]["rscale"]["rotation"] == field.model.rotation.value
    models = field.to_models_table()
    assert list(models["model"]) == ["shift", "rshift", "rscale", "general"]
    assert list(models["chosen"]) == [False, False, True, False]
    assert models["rotation_error"].unit == u.deg


def test_the_answer_comes_first(turned):
    _, field = turned
    first = str(field).splitlines()[0]
    assert first.startswith("rscale: dx = 3.99")
    assert "rotation 3.0" in first
    assert field._repr_html_().startswith("<div><p><strong>rscale: dx = 3.99")
    assert repr(field).startswith("<ShiftField rscale")


def test_names_are_escaped():
    reference, image = make_scene(48, shift=(1, 0), seed=2).pair(1)
    field = register_tiles(reference, image, tiles=2)
    hostile = type(field)(**{**vars(field), "image_label": "<script>"})
    assert "<script>" not in hostile._repr_html_()


def test_plots(shifted):
    mpl.use("Agg")
    _, field = shifted
    arrows = field.plot()[0]
    assert len(arrows.U) == 9
    assert np.allclose(arrows.U, field.shifts.value[:, 0])
    assert np.allclose(field.plot_residuals()[0].U, [tile.residual.value[0] for tile in field.tiles])


def test_results_are_frozen(shifted):
    _, field = shifted
    with pytest.raises(AttributeError, match="cannot assign to field"):
        field.geometry = "general"
    with pytest.raises(TypeError, match="does not support item assignment"):
        field.models["shift"] = None


def test_files_and_hdus(tmp_path, shifted):
    (reference, image), field = shifted
    names = [tmp_path / "reference.fits", tmp_path / "image.fits"]
    for name, one in zip(names, (reference, image), strict=True):
        one.write(name)
    again = register_tiles(*names, tiles=3)
    assert np.allclose(again.shifts.value, field.shifts.value)
    assert again.image_label == str(names[1])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"tiles": 3, "tile_size": 20}, ValueError, "`tiles` and `tile_size` are both given"),
        ({"tiles": 0}, ValueError, "`tiles` must be > 0, got 0"),
        ({"tiles": 2.5}, TypeError, "`tiles` must be a whole number or a pair"),
        ({"tiles": (1, 2, 3)}, TypeError, "`tiles` must be a whole number or a pair"),
        ({"tile_size": "32"}, TypeError, "`tile_size` must be a whole number or a pair"),
        ({"tiles": 40}, ValueError, "`tiles` makes tiles of 2 pixels"),
        ({"tile_size": 5}, ValueError, "`tile_size` makes tiles of 5 pixels"),
        ({"geometry": "affine"}, ValueError, "`geometry` must be"),
        ({"grid": "ra"}, ValueError, '`grid` must be "pixels" or "sky"'),
        ({"grid": "sky"}, ValueError, "`reference` has no WCS"),
        ({"iterations": 0}, ValueError, "`iterations` must be"),
        ({"method": 3}, TypeError, "`method` must be"),
        ({"fit_scale": "yes"}, TypeError, "`fit_scale` must be"),
        ({"max_shift": -1}, ValueError, "`max_shift` must be"),
        ({"uncertainty": "guess"}, ValueError, "`uncertainty` must be"),
        (
            {"method": lambda reference, image, **_: 3},
            TypeError,
            "`method` must return a ShiftResult, got a int",
        ),
    ],
)
def test_bad_options(options, error, message, shifted):
    (reference, image), _ = shifted
    with pytest.raises(error, match=message):
        register_tiles(reference.data, image.data, **options)


def test_bad_images():
    with pytest.raises(ValueError, match="`reference` has 3 dimensions"):
        register_tiles(np.zeros((9, 9, 9)), np.zeros((9, 9)))
    with pytest.raises(ValueError, match="`image` has no good pixel"):
        register_tiles(np.zeros((64, 64)), np.full((64, 64), np.nan))


def test_flags_say_what_they_mean():
    assert describe_field(FieldFlag.DISTORTION | FieldFlag.OUTLIERS)[0].startswith("DISTORTION: No linear")
    assert all(flag.sentence.endswith(".") for flag in FieldFlag)
    assert FieldFlag.OUTLIERS.trusted and not FieldFlag.NOT_CONVERGED.trusted
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert describe_field(0) == []


def test_the_header_of_the_image_is_not_needed(shifted):
    (reference, image), field = shifted
    hdus = [fits.ImageHDU(one.data) for one in (reference, image)]
    again = register_tiles(*hdus, tiles=3)
    assert WCS(hdus[1].header).wcs.ctype[0] == ""
    # the noise is estimated instead of known: the shifts agree within their errors
    assert within(again.model.shift.value, field.model.shift_error.value, field.model.shift.value)
