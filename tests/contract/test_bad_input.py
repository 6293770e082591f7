"""Impossible input: an error that names the argument and the mend, or a flagged NaN; never anything else."""

import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData, NDData, StdDevUncertainty

from astroreg import AstroregWarning, ShiftFlag, register_images

GOOD = np.random.default_rng(1).standard_normal((24, 26))


def replaced(index, value, array=GOOD):
    out = array.copy()
    out[index] = value
    return out


def with_sigma(sigma):
    return NDData(GOOD, uncertainty=StdDevUncertainty(sigma))


IMAGES = {
    "no image": (None, TypeError),
    "a number": (3.0, (TypeError, ValueError)),
    "one dimension": (GOOD[0], ValueError),
    "three dimensions": (np.stack([GOOD, GOOD]), ValueError),
    "empty": (np.zeros((0, 5)), ValueError),
    "one pixel": (GOOD[:1, :1], ValueError),
    "one row": (GOOD[:1], ValueError),
    "one column": (GOOD[:, :1], ValueError),
    "four rows": (GOOD[:4], ValueError),
    "words": (np.full((24, 26), "a"), TypeError),
    "objects": (np.full((24, 26), None), TypeError),
    "complex": (GOOD + 1j, TypeError),
    "nothing finite": (np.full((24, 26), np.nan), ValueError),
    "nothing but infinity": (np.full((24, 26), np.inf), ValueError),
    "all masked": (NDData(GOOD, mask=np.ones(GOOD.shape, bool)), ValueError),
    "a mask of another shape": (NDData(GOOD, mask=np.zeros((3, 3), bool)), ValueError),
    "a negative uncertainty": (with_sigma(replaced((3, 4), -1.0, np.ones(GOOD.shape))), ValueError),
    "an uncertainty of another shape": (with_sigma(np.ones((3, 3))), ValueError),
    "values whose squares are infinite": (replaced((20, 20), 1e300), ValueError),
    "values whose squares vanish": (1e-200 * GOOD, ValueError),
}


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("argument", ["reference", "image"])
def test_impossible_images(method, name, argument):
    bad, error = IMAGES[name]
    images = {"reference": GOOD, "image": GOOD, argument: bad}
    with pytest.raises(error, match=f"`{argument}`"):
        method(**images)


def test_a_file_that_is_not_there(method):
    with pytest.raises(FileNotFoundError, match=r"no such file\.fits"):
        method(GOOD, "no such file.fits")


OPTIONS = {
    "max_shift": [0, -3, np.nan, np.inf, "5 arcsec", True, [1, 2], 3 * u.s, -1 * u.pixel, 5 * u.arcsec],
    "min_overlap": [0, -0.1, 1.5, np.nan, "half", None, True],
    "boundary": ["periodic", "", None, 1],
    "uncertainty": ["none", None, 1],
}


CASES = [(option, value) for option, values in OPTIONS.items() for value in values]


@pytest.mark.parametrize(("option", "value"), CASES, ids=repr)
def test_impossible_options(method, option, value):
    with pytest.raises((TypeError, ValueError), match=f"`{option}`"):
        method(GOOD, GOOD, **{option: value})


@pytest.mark.parametrize("value", [0, -5, 2.5, np.nan, np.inf, "100", None, True])
def test_impossible_upsampling(value):
    with pytest.raises((TypeError, ValueError), match="`upsample_factor`"):
        register_images(GOOD, GOOD, upsample_factor=value)


def test_units_that_cannot_be_the_same(method):
    with pytest.raises(ValueError, match="fit_scale"):
        method(GOOD * u.K, GOOD * u.Jy, fit_scale=False)


def test_options_are_keywords(method):
    with pytest.raises(TypeError, match="positional"):
        method(GOOD, GOOD, 5)


@pytest.mark.parametrize("huge", [1e6, -1e30, 1e60])
def test_one_absurd_pixel_gives_no_wrong_number(method, pair, huge):
    """Not masked, it swamps everything: nothing common is found."""
    data = replaced((20, 30), huge, pair.image.data)
    with pytest.warns(AstroregWarning, match="NO_SIGNAL|NO_OVERLAP"):
        result = method(pair.reference.data, data)
    assert np.isnan(result.shift).all()


@pytest.mark.parametrize("size", [1e60, 1e-60])
def test_extreme_units(method, pair, size):
    """Far from 1, but not so far that squares leave the range of numbers: the same answer."""
    usual = method(pair.reference, pair.image)
    frames = [
        CCDData(f.data * size, uncertainty=StdDevUncertainty(f.uncertainty.array * size), unit=f.unit)
        for f in (pair.reference, pair.image)
    ]
    result = method(*frames)
    assert np.abs(((result.shift - usual.shift) / usual.shift_error).value).max() < 1e-6


def test_pixels_of_zero_uncertainty(method, pair):
    """A few exact pixels among noisy ones: an oversight, which is told."""
    sigma = pair.image.uncertainty.array.copy()
    sigma[10:12, 10:12] = 0
    frames = pair.reference, CCDData(pair.image.data, uncertainty=StdDevUncertainty(sigma), unit="adu")
    with pytest.warns(AstroregWarning, match="the uncertainty of `image` is zero at 4 pixels"):
        result = method(*frames)
    assert np.abs(((result.shift - pair.shift) / result.shift_error).value).max() < 5


def test_pixels_of_infinite_uncertainty_are_masked(method, pair):
    sigma = pair.image.uncertainty.array.copy()
    sigma[10:20, 10:20] = np.inf
    bad = np.isinf(sigma)
    unknown = CCDData(pair.image.data, uncertainty=StdDevUncertainty(sigma), unit="adu")
    masked = CCDData(pair.image.data, uncertainty=pair.image.uncertainty, mask=bad, unit="adu")
    assert (method(pair.reference, unknown).shift == method(pair.reference, masked).shift).all()


@pytest.mark.parametrize("shape", [(5, 5), (5, 64), (64, 5), (7, 9)])
def test_the_smallest_images(method, pair, shape):
    """They may determine nothing, but then they say so."""
    frames = [f[: shape[0], : shape[1]] for f in (pair.reference, pair.image)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = method(*frames)
    # Told in words of the package, or an answer with an error; no warning from inside numpy.
    assert all(w.category is AstroregWarning for w in caught)
    assert len(caught) == (not result.ok or bool(result.flags & ShiftFlag.BAD_CHI2))
    assert not result.ok or result.shift_error.min() > 0


def test_memory_maps_are_left_alone(method, pair, tmp_path):
    maps = []
    for name, frame in (("reference", pair.reference), ("image", pair.image)):
        array = np.lib.format.open_memmap(tmp_path / name, mode="w+", dtype=">f4", shape=frame.shape)
        array[:] = frame.data
        array.flush()
        maps.append(np.load(tmp_path / name, mmap_mode="r"))
    before = [(tmp_path / name).read_bytes() for name in ("reference", "image")]
    result = method(*maps)
    assert (result.shift == method(*(np.array(m) for m in maps)).shift).all()
    assert [(tmp_path / name).read_bytes() for name in ("reference", "image")] == before
