"""Units, flux scale, background and uncertainties of any kind."""

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData, InverseVariance, NDData, StdDevUncertainty, VarianceUncertainty
from numpy.testing import assert_allclose

from astroreg import AstroregWarning, ShiftFlag, chi2_shift
from astroreg.simulation import simulate_pair


def sigmas_apart(first, second):
    """Largest difference of two shifts in units of the first one's error."""
    return np.abs(((first.shift - second.shift) / first.shift_error).value).max()


@pytest.fixture(scope="module")
def scaled():
    """A pair whose image has 2.5 times the flux on a background."""
    return simulate_pair((72, 64), shift=(-1.8, 2.3), scale=2.5, background=30.0, snr=10, rng=12)


def test_scale_and_background_come_out(method, scaled):
    result = method(scaled.reference, scaled.image)
    # Within 5 sigma; an error above 1 % of the scale would make that empty.
    assert abs(result.scale.value - 2.5) < 5 * result.scale_error.value < 0.1
    assert abs(result.background.value - 30) < 5 * result.background_error.value < 0.2
    assert result.scale.unit == u.dimensionless_unscaled
    assert result.background.unit == u.adu
    assert result.flags == 0


@pytest.mark.parametrize("factor", [1e-20, 1e20])
def test_flux_scaling_leaves_the_shift_alone(method, pair, altered, factor):
    plain = method(pair.reference, pair.image)
    for frames in (
        (pair.reference, altered(pair.image, factor=factor)),
        (altered(pair.reference, factor=factor), pair.image),
    ):
        # Rounding of the last bits only, however far the iteration amplifies them.
        assert sigmas_apart(plain, method(*frames)) < 1e-6


def test_an_added_background_leaves_the_shift_alone(method, pair, altered):
    plain = method(pair.reference, pair.image)
    for offsets in ((0.0, 300.0), (-1e4, 1e4)):
        moved = method(*(altered(f, offset=o) for f, o in zip((pair.reference, pair.image), offsets)))
        # Rounding: 1e4 has 12 digits left after the point, the noise is 0.1.
        assert sigmas_apart(plain, moved) < 1e-6
        expected = plain.background.value + offsets[1] - plain.scale.value * offsets[0]
        assert_allclose(moved.background.value, expected, rtol=1e-9, atol=1e-6)


def in_unit(frame, unit, factor=1.0):
    sigma = StdDevUncertainty(frame.uncertainty.array * factor)
    return CCDData(frame.data * factor, uncertainty=sigma, unit=unit)


def test_convertible_units_are_converted(method, pair):
    plain = method(in_unit(pair.reference, "Jy"), in_unit(pair.image, "Jy"))
    mixed = method(in_unit(pair.reference, "mJy", 1e3), in_unit(pair.image, "Jy"))
    # Computed in single precision: 6e-8 of the sky's spread against a noise of a tenth of it, 1e-6 a pixel,
    # and the steps that end within a hundredth of the error are as near to each other as their rounding.
    assert sigmas_apart(plain, mixed) < 2e-5
    # Whatever the unit it is given in, the scale says the same.
    assert_allclose(mixed.scale.to_value(u.dimensionless_unscaled), plain.scale.value, rtol=1e-6)
    assert mixed.background.unit == u.Jy


def test_inconvertible_units_are_fine_while_the_scale_is_fitted(method, pair):
    result = method(in_unit(pair.reference, "K"), in_unit(pair.image, "MJy / sr"))
    assert result.scale.unit == u.MJy / u.sr / u.K
    assert result.background.unit == u.MJy / u.sr
    assert sigmas_apart(method(pair.reference, pair.image), result) < 1e-6
    with pytest.raises(ValueError, match="fit_scale"):
        method(in_unit(pair.reference, "K"), in_unit(pair.image, "MJy / sr"), fit_scale=False)


def test_quantities_and_arrays(method, pair):
    arrays = method(pair.reference.data, pair.image.data)
    quantities = method(pair.reference.data * u.K, pair.image.data * u.K)
    assert (arrays.shift == quantities.shift).all()
    assert quantities.background.unit == u.K
    assert arrays.background.unit == u.dimensionless_unscaled


@pytest.mark.parametrize(
    "kind",
    [
        lambda sigma: VarianceUncertainty(sigma**2),
        lambda sigma: InverseVariance(sigma**-2),
        lambda sigma: StdDevUncertainty(sigma * 1e3, unit="mJy"),
        lambda sigma: VarianceUncertainty(sigma**2 * 1e6, unit="mJy2"),
    ],
    ids=["variance", "inverse variance", "std in mJy", "variance in mJy2"],
)
def test_uncertainties_of_all_kinds(method, pair, kind):
    frames = pair.reference, pair.image
    usual = method(*(in_unit(f, "Jy") for f in frames))
    other = method(*(CCDData(f.data, uncertainty=kind(f.uncertainty.array), unit="Jy") for f in frames))
    # The conversions round in the last digit.
    assert sigmas_apart(usual, other) < 1e-6
    assert_allclose(other.covariance, usual.covariance, rtol=1e-6)
    assert other.uncertainty == "attached"


def test_attached_errors_follow_the_uncertainties(method):
    """Images four times as deep: the error falls by four, and by more where noise times noise mattered."""
    pairs = [simulate_pair((64, 64), snr=snr, rng=5) for snr in (5, 20)]
    shallow, deep = (method(pair.reference, pair.image) for pair in pairs)
    assert (shallow.shift_error > 3.5 * deep.shift_error).all()
    assert shallow.flags == deep.flags == 0


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_wrong_uncertainties_are_told(method, pair, factor):
    frames = [
        CCDData(f.data, uncertainty=StdDevUncertainty(factor * f.uncertainty.array), unit=f.unit)
        for f in (pair.reference, pair.image)
    ]
    with pytest.warns(AstroregWarning, match="BAD_CHI2") as caught:
        result = method(*frames)
    assert len(caught) == 1
    assert result.flags == ShiftFlag.BAD_CHI2
    # Chi-squared over 64 x 64 pixels has a sampling error of 2 %; the interpolation another 2 %.
    assert_allclose(result.reduced_chi2, factor**-2, rtol=0.1)


def test_noise_that_is_correlated_is_told(method):
    """Its chi-squared is right and the attached errors are three times too small."""
    pair = simulate_pair((72, 72), correlation=1.5, snr=10, rng=3)
    with pytest.warns(AstroregWarning, match="BAD_CHI2"):
        attached = method(pair.reference, pair.image)
    empirical = method(pair.reference, pair.image, uncertainty="empirical")
    if method is not chi2_shift:
        # Unweighted methods make no other use of the attached noise: theirs are empirical unasked.
        assert attached.uncertainty == "empirical"
        assert (attached.shift_error == empirical.shift_error).all()
        return
    assert attached.uncertainty == "attached"
    assert (empirical.shift_error > 1.5 * attached.shift_error).all()
    assert np.abs(((empirical.shift - pair.shift) / empirical.shift_error).value).max() < 5


@pytest.mark.parametrize("factor", [0.2, 1.0, 5.0])
def test_empirical_errors_do_not_believe_the_uncertainties(method, pair, factor):
    frames = [
        CCDData(f.data, uncertainty=StdDevUncertainty(factor * f.uncertainty.array), unit=f.unit)
        for f in (pair.reference, pair.image)
    ]
    right = method(pair.reference, pair.image)
    result = method(*frames, uncertainty="empirical")
    assert result.uncertainty == "empirical"
    # Learnt from about 60 x 60 residuals in patches of a few pixels: good to some 10 to 20 %.
    assert_allclose(result.shift_error, right.shift_error, rtol=0.5)
    assert result.flags == 0


def test_without_uncertainty_the_noise_is_estimated(method, pair):
    right = method(pair.reference, pair.image)
    for frames in (
        (pair.reference.data, pair.image.data),
        (NDData(pair.reference.data), pair.image),
        (pair.reference, NDData(pair.image.data)),
    ):
        result = method(*frames)
        assert result.flags == ShiftFlag.NOISE_ESTIMATED
        assert result.uncertainty == "empirical"
        assert np.abs(((result.shift - pair.shift) / result.shift_error).value).max() < 5
        assert_allclose(result.shift_error, right.shift_error, rtol=0.5)


def test_a_deep_reference_weighs_more(method):
    """The better the reference the smaller the error, down to that of the image's own noise."""
    errors = [
        method(p.reference, p.image).shift_error
        for p in (simulate_pair((64, 64), snr=10, snr_reference=s, rng=5) for s in (5, 10, 100))
    ]
    assert (errors[0] > errors[1]).all() and (errors[1] > errors[2]).all()


# ---- what is not fitted ----------------------------------------------------------------------


def test_a_scale_that_is_not_fitted_is_one(method):
    pair = simulate_pair((64, 64), snr=10, background=4.0, rng=5)
    result = method(pair.reference, pair.image, fit_scale=False)
    assert result.scale == 1
    assert result.scale_error == 0
    assert abs(result.background.value - 4) < 5 * result.background_error.value < 0.2
    assert np.abs(((result.shift - pair.shift) / result.shift_error).value).max() < 5
    assert result.flags == 0


def test_a_background_that_is_not_fitted_is_none(method):
    pair = simulate_pair((64, 64), snr=10, scale=2.5, rng=5)
    result = method(pair.reference, pair.image, fit_background=False)
    assert result.background.value == 0
    assert result.background_error.value == 0
    assert abs(result.scale.value - 2.5) < 5 * result.scale_error.value < 0.1
    assert np.abs(((result.shift - pair.shift) / result.shift_error).value).max() < 5
    assert result.flags == 0


def test_neither_fitted(method):
    pair = simulate_pair((64, 64), snr=10, rng=5)
    result = method(pair.reference, pair.image, fit_scale=False, fit_background=False)
    assert (result.scale.value, result.background.value) == (1, 0)
    assert result.dof == result.n_pixels - 2
    assert np.abs(((result.shift - pair.shift) / result.shift_error).value).max() < 5
    assert result.flags == 0


def test_a_scale_that_is_not_one_shows_where_it_is_not_fitted(method):
    """True scale 2, not fitted: the residuals are half the sky, at S/N 10."""
    pair = simulate_pair((64, 64), snr=10, scale=2.0, rng=5)
    with pytest.warns(AstroregWarning, match="BAD_CHI2"):
        result = method(pair.reference, pair.image, fit_scale=False)
    assert result.scale == 1
    assert result.flags & ShiftFlag.BAD_CHI2
