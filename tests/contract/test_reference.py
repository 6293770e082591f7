"""One reference for many images: the same results, whatever it kept before."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, is_dataclass, replace
from functools import partial

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData

from astroreg import Reference, align, chi2_shift, measure, register_tiles
from astroreg.inputs import as_frame
from astroreg.simulation import simulate_pair

# Flux and background that are not fitted though they differ: the same answer is wanted, not a good one.
pytestmark = pytest.mark.filterwarnings("ignore::astroreg.AstroregWarning")

OPTIONS = (
    {},
    {"fit_scale": False},
    {"fit_background": False},
    {"fit_scale": False, "fit_background": False},
    {"boundary": "wrap"},
    {"max_shift": 9, "min_overlap": 0.3, "uncertainty": "empirical"},
)


@pytest.fixture(scope="module")
def images():
    """A reference with bad pixels and three images of it, of other noise, flux and background."""
    pair = simulate_pair((64, 72), shift=(3.37, -5.81), snr=10, bad_fraction=0.02, rng=5)
    images = [draw.image for draw in pair.draws(3, rng=6)]
    images[1] = images[1].multiply(1.4 * u.dimensionless_unscaled, handle_meta="first_found")
    images[2] = images[2].add(7 * images[2].unit, handle_meta="first_found")
    return pair.reference, images


def same(one, two):
    """Assert that two results are equal in every bit; NaN is NaN."""
    for field in fields(one):
        if field.name != "wcs":  # the image's own, which no number here depends on
            first, second = (numbers(getattr(result, field.name)) for result in (one, two))
            assert len(first) == len(second), field.name
            assert all(map(partial(np.array_equal, equal_nan=True), first, second)), field.name


def numbers(value):
    """Return what a field holds as arrays; the parts of charts and rivals one by one."""
    if is_dataclass(value):
        return [part for field in fields(value) for part in numbers(getattr(value, field.name))]
    if value is None or isinstance(value, str):
        return [np.array([value is None], float), np.frombuffer(str(value).encode(), "u1")]
    return [np.asarray(getattr(value, "value", value), float)]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: ", ".join(options) or "defaults")
def test_results_are_those_of_the_plain_image(method, images, options):
    first, others = images
    reference = Reference(first)
    for image in others:
        same(method(reference, image, **options), method(first, image, **options))


def test_one_reference_serves_all_options(method, images):
    # What was kept for one set of options must not be taken for another.
    first, others = images
    reference = Reference(first)
    for options in (*OPTIONS, *OPTIONS[::-1]):
        same(method(reference, others[0], **options), method(first, others[0], **options))


def test_measure_takes_it(images):
    first, others = images
    reference = Reference(first)
    for image in others:
        kept, plain = measure(reference, image), measure(first, image)
        assert list(kept) == list(plain) and len(kept) == 3
        for name in plain:
            same(kept[name], plain[name])


def test_the_flux_scale_of_every_image_is_its_own(images):
    first, others = images
    reference = Reference(first)
    results = [chi2_shift(reference, image) for image in others]
    # S/N 10 in 4600 pixels: the scale is good to about 1/10/sqrt(4600) = 0.0015
    assert [r.scale.value for r in results] == pytest.approx([1.0, 1.4, 1.0], abs=0.02)
    assert results[2].background.value - results[0].background.value == pytest.approx(7, abs=0.02)


def test_units_that_convert(images):
    first, others = images
    first = CCDData(first.data, mask=first.mask, unit="Jy")
    image = CCDData(others[0].data * 1e3, mask=others[0].mask, unit="mJy")
    reference = Reference(first)
    for method in (chi2_shift, partial(chi2_shift, fit_scale=False)):
        same(method(reference, image), method(first, image))


def test_it_does_not_matter_what_was_done_with_it_before(images):
    # Aligning masks what lies beyond the bounds and resamples: none of that may stay with the reference.
    pair = simulate_pair((64, 64), shift=(1.6, 0.7), rng=3)
    reference = Reference(pair.reference)
    before = chi2_shift(reference, pair.image)
    aligned = align(reference, pair.image)
    same(aligned_again := chi2_shift(reference, pair.image), before)
    assert aligned_again.shift.value.tolist() == chi2_shift(pair.reference, pair.image).shift.value.tolist()
    plain = align(pair.reference, pair.image)
    assert (aligned.shift == plain.shift).all() and (aligned.covariance == plain.covariance).all()


def test_tiles_take_it(images):
    first, others = images
    field, plain = (register_tiles(one, others[0], tiles=(2, 2)) for one in (Reference(first), first))
    for tile, other in zip(field.tiles, plain.tiles, strict=True):
        assert np.array_equal(tile.shift.value, other.shift.value, equal_nan=True)


def test_what_is_kept_stays_with_its_frame(images):
    # A frame that is changed is another frame: nothing that was computed before holds for it.
    reference = Reference(images[0])
    chi2_shift(reference, images[1][0])
    frame = reference.frame
    assert frame.kept
    assert replace(frame, mask=None).kept is None
    assert frame.filled().kept is None


def test_two_references_of_one_frame_keep_apart(images):
    frame = as_frame(images[0], argument="image")
    one, two = Reference(frame), Reference(frame)
    chi2_shift(one, images[1][0])
    assert frame.kept is None and two.frame.kept == {}


def test_nothing_is_changed(method):
    pair = simulate_pair((40, 48), shift=(1.2, -0.7), bad_fraction=0.02, rng=4)
    arrays = [a for f in (pair.reference, pair.image) for a in (f.data, f.mask, f.uncertainty.array)]
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    reference = Reference(pair.reference)
    for _ in range(2):
        method(reference, pair.image)
    assert all(
        np.array_equal(array, copy, equal_nan=True) for array, copy in zip(arrays, before, strict=True)
    )


def test_two_threads(images):
    first, others = images
    plain = [chi2_shift(first, image) for image in others * 2]
    reference = Reference(first)
    with ThreadPoolExecutor(2) as pool:
        kept = list(pool.map(partial(chi2_shift, reference), others * 2))
    for one, two in zip(kept, plain, strict=True):
        same(one, two)


def test_other_kinds_of_image(tmp_path):
    pair = simulate_pair((40, 40), shift=(1.2, -0.7), rng=4)
    data, image = pair.reference.data, pair.image.data
    path = tmp_path / "image.fits"
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(data[::-1], name="OTHER"), fits.ImageHDU(data, name="WANTED")]
    fits.HDUList(hdus).writeto(path)
    wanted = chi2_shift(data, image)
    for reference in (Reference(data), Reference(path, hdu="WANTED"), Reference(path, hdu=2)):
        assert (chi2_shift(reference, image).shift == wanted.shift).all()
    assert "image.fits" in repr(Reference(path, hdu=2))


def test_what_it_tells(images):
    reference = Reference(images[0])
    assert reference.shape == (64, 72)
    assert repr(reference) == "<Reference of 72 x 64 pixels>"


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (3, TypeError, "`image` is a int, which holds no image"),
        (np.zeros((5, 5, 5)), ValueError, "`image`"),
        (np.full((8, 8), np.nan), ValueError, "`image`"),
        (np.ones((8, 8), complex), TypeError, "`image`"),
        ("nowhere.fits", FileNotFoundError, "nowhere.fits"),
    ],
)
def test_no_image(image, error, message):
    with pytest.raises(error, match=message):
        Reference(image)


def test_no_such_hdu(images):
    with pytest.raises(ValueError, match="`image` is no file"):
        Reference(images[0], hdu=1)


def test_too_small_for_a_shift():
    # As for the plain image: told by the method, which knows that a shift is wanted along both axes.
    with pytest.raises(ValueError, match="`reference` is 4 pixel wide"):
        chi2_shift(Reference(np.eye(4)), np.eye(8))
