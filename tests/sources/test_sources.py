"""Point sources: found, matched, a shift with its error, compared with that of the emission; masks."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import NDData, StdDevUncertainty
from numpy.testing import assert_allclose

from astroreg import AstroregWarning, ShiftFlag, align, chi2_shift, measure
from astroreg.simulation import simulate_pair, tan_wcs
from astroreg.sources import check_sources, find_sources, register_sources, source_mask
from astroreg.sources.matching import common_shift, match_sources

SHAPE = (140, 150)
SIGMA = 1.0
WIDTH = 1.3  # sigma of a source in pixels: 3.06 pixels at half maximum


def star_field(rng, *, number=20, shift=(0.0, 0.0), scale=1.0, moving=0, wcs=None, places=None, noise=None):
    """Gaussian stars on a flat sky; `moving` of them elsewhere."""
    noise = rng if noise is None else noise
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    data = SIGMA * noise.standard_normal(SHAPE)
    for i, (x0, y0, peak) in enumerate(places[:number]):
        x1, y1 = (x0 + shift[0], y0 + shift[1]) if i >= moving else (y0, x0)
        data += scale * peak * np.exp(-0.5 * ((x - x1) ** 2 + (y - y1) ** 2) / WIDTH**2)
    return NDData(data, uncertainty=StdDevUncertainty(np.full(SHAPE, SIGMA)), wcs=wcs, unit=u.ct)


@pytest.fixture(scope="module")
def places():
    """Places and peaks of stars, apart from each other."""
    rng = np.random.default_rng(3)
    kept = []
    while len(kept) < 20:
        x, y = rng.uniform(12, 125, 2)
        if all(np.hypot(x - a, y - b) > 12 for a, b, _ in kept):
            kept.append((x, y, rng.uniform(20, 200)))
    return np.array(kept)


@pytest.fixture(scope="module")
def pair(places):
    rng = np.random.default_rng(4)
    return (
        star_field(rng, places=places, wcs=tan_wcs(SHAPE)),
        star_field(rng, places=places, shift=(6.4, -3.3), scale=2.0, wcs=tan_wcs(SHAPE)),
    )


class TestFinding:
    def test_places_and_errors(self, pair, places):
        table = find_sources(pair[0])
        assert len(table) == 20
        found = np.transpose([table["x"].value, table["y"].value])
        distance = np.hypot(*(found[:, None] - places[None, :, :2]).transpose(2, 0, 1))
        nearest = distance.argmin(axis=1)
        assert sorted(nearest) == list(range(20))
        pull = (found - places[nearest, :2]) / np.transpose([table["x_error"].value, table["y_error"].value])
        # 40 normal deviates: their rms is 1 -+ 0.11, the largest below 4 but in 1 of 400 cases.
        assert 0.65 < np.sqrt(np.mean(pull**2)) < 1.35
        assert np.abs(pull).max() < 4
        assert_allclose(table["fwhm"].value.mean(), 2.3548 * WIDTH, rtol=0.03)
        assert table["peak"].unit == u.ct
        assert (np.diff(table["snr"]) <= 0).all()

    @pytest.mark.parametrize("gap", [4.0, 5.0, 6.5, 7.4])
    def test_close_pairs_are_two_stars(self, gap):
        """A star beside a brighter one is found, and masked with it; the full width is 3.06 pixels."""
        angle = np.deg2rad(20)
        places = np.array(
            [[60, 70, 150], [60 + gap * np.cos(angle), 70 + gap * np.sin(angle), 100], [100.3, 40.6, 80]]
        )
        image = star_field(np.random.default_rng(8), places=places)
        table = find_sources(image)
        found = np.transpose([table["x"].value, table["y"].value])
        distance = np.hypot(*(found[:, None] - places[None, :, :2]).transpose(2, 0, 1))
        assert distance.shape == (3, 3)
        # The wing of the neighbour pulls a position by a part of a pixel, in every image alike. A fit that
        # took the neighbour for the star, or both for one, would be off by at least half the gap.
        assert distance.min(axis=0).max() < 0.3
        mask = source_mask(image)
        assert all(mask[round(y), round(x)] for x, y, _ in places)

    @pytest.mark.parametrize("gap", [3.0, 3.5, 3.75])
    def test_a_blend_is_not_found_twice(self, gap):
        """Two peaks whose fits end at one and the same place are one row."""
        rng = np.random.default_rng(1)
        angles = rng.uniform(0, 2 * np.pi, 30)
        bright = np.array([[20 + 20 * (i % 6), 18 + 22 * (i // 6), 100] for i in range(30)])
        faint = bright + np.transpose([gap * np.cos(angles), gap * np.sin(angles), rng.uniform(-80, 0, 30)])
        table = find_sources(star_field(rng, number=60, places=np.concatenate([bright, faint])))
        found = np.transpose([table["x"].value, table["y"].value])
        distance = np.hypot(*(found[:, None] - found[None]).transpose(2, 0, 1)) + 99 * np.eye(len(found))
        # Half the full width that is looked for; the stars themselves are twice as far apart.
        assert distance.min() > 1.5
        assert len(table) > 20

    def test_masked_star_is_not_found(self, pair, places):
        x, y, _ = places[0].astype(int)
        mask = np.zeros(SHAPE, bool)
        mask[y - 3 : y + 4, x - 3 : x + 4] = True
        masked = NDData(pair[0].data, uncertainty=StdDevUncertainty(np.ones(SHAPE)), mask=mask)
        assert len(find_sources(masked)) == 19

    def test_none(self):
        table = find_sources(np.random.default_rng(1).standard_normal((60, 60)))
        assert len(table) == 0
        assert "x_error" in table.colnames

    def test_without_uncertainty(self, pair):
        assert len(find_sources(pair[0].data)) == 20

    def test_hot_pixels_are_no_stars(self):
        rng = np.random.default_rng(2)
        data = rng.standard_normal((80, 80))
        data[rng.integers(10, 70, 20), rng.integers(10, 70, 20)] += 100
        assert len(find_sources(data)) == 0


class TestRegister:
    def test_shift(self, pair):
        result = register_sources(*pair)
        assert result.flags == 0
        assert result.n_matched == 20
        # Two deviates of which either exceeds 4 in 1 of 8000 cases.
        assert np.all(np.abs(result.shift.value - (6.4, -3.3)) < 4 * result.shift_error.value)
        assert result.shift_error.max() < 0.02 * u.pixel
        assert result.false_alarm_probability < 1e-9
        assert result.sky_correction is not None

    def test_swapped(self, pair):
        there, back = register_sources(*pair), register_sources(*pair[::-1])
        assert_allclose(there.shift.value, -back.shift.value, atol=1e-9)

    def test_sources_of_one_image_only_do_not_pull(self, places):
        rng = np.random.default_rng(5)
        reference = star_field(rng, places=places)
        image = star_field(rng, places=places, shift=(6.4, -3.3), moving=6)
        result = register_sources(reference, image)
        assert result.n_matched >= 12
        assert np.all(np.abs(result.shift.value - (6.4, -3.3)) < 4 * result.shift_error.value)

    def test_an_outlier_is_left_out(self):
        rng = np.random.default_rng(6)
        shifts = rng.normal(0, 0.01, (12, 2)) + (1.0, 2.0)
        shifts[3] += 0.5
        shift, covariance, used, scatter = common_shift(shifts, np.full((12, 1, 1), 1e-4) * np.eye(2))
        assert not used[3]
        assert used.sum() == 11
        assert scatter == 0
        assert np.all(np.abs(shift - (1, 2)) < 4 * np.sqrt(np.diag(covariance)))

    def test_scatter_beyond_the_centroids_enlarges_the_error(self):
        rng = np.random.default_rng(7)
        shifts = rng.normal(0, 0.1, (40, 2))
        _, covariance, _, scatter = common_shift(shifts, np.full((40, 1, 1), 1e-4) * np.eye(2))
        # Known from 78 degrees of freedom to 8 per cent.
        assert_allclose(scatter, 0.1, rtol=0.3)
        assert_allclose(np.sqrt(covariance[0, 0]), 0.1 / np.sqrt(40), rtol=0.3)

    def test_too_few(self, places):
        rng = np.random.default_rng(8)
        images = [star_field(rng, places=places, number=2) for _ in range(2)]
        with pytest.warns(AstroregWarning, match="NO_SIGNAL"):
            result = register_sources(*images)
        assert np.isnan(result.shift).all()
        assert result.flags == ShiftFlag.NO_SIGNAL
        assert (result.n_reference, result.n_image, result.n_matched) == (2, 2, 0)

    def test_unrelated_fields(self):
        rng = np.random.default_rng(9)
        first, second = rng.uniform(0, 140, (2, 25, 2))
        assert match_sources(first, second, max_shift=None, area=4 * 140**2) is None

    def test_beyond_max_shift(self, pair):
        with pytest.warns(AstroregWarning, match="NO_SIGNAL"):
            assert not register_sources(*pair, max_shift=2).determined
        assert register_sources(*pair, max_shift=9 * u.arcsec).determined

    def test_as_a_method_of_align_and_measure(self, pair):
        alignment = align(*pair, method=register_sources, max_shift=15)
        assert alignment.ok
        assert np.all(np.abs(alignment.shift.value - (6.4, -3.3)) < 4 * alignment.shift_error.value)
        measured = measure(*pair, methods=(chi2_shift, register_sources), max_shift=15)
        assert measured.largest_disagreement < 4


class TestCheck:
    def test_agreement(self, pair):
        result = chi2_shift(*pair, max_shift=15)
        check = check_sources(*pair, result)
        assert check.agrees
        assert_allclose(check.difference, check.sources.shift - result.shift)
        assert "20 matched of 20 and 20 point sources found" in str(check)

    def test_alignment_on_another_grid(self, places):
        """The reference rotated and zoomed: what is compared is the sky."""
        noise = np.random.default_rng(10)
        wcs, turned = tan_wcs(SHAPE), tan_wcs((260, 260), pixel_scale=0.7 * u.arcsec, rotation=25 * u.deg)
        image = star_field(noise, places=places, wcs=wcs)
        seen = np.transpose(turned.world_to_pixel(wcs.pixel_to_world(*places[:, :2].T)))
        y, x = np.mgrid[:260, :260]
        data = 0.5 * noise.standard_normal((260, 260))
        for (x0, y0), peak in zip(seen, places[:, 2], strict=True):
            data += peak * np.exp(-0.5 * ((x - x0) ** 2 + (y - y0) ** 2) / (WIDTH / 0.7) ** 2)
        reference = NDData(data, uncertainty=StdDevUncertainty(np.full((260, 260), 0.5)), wcs=turned)
        wrong = wcs.deepcopy()
        wrong.wcs.crpix = wrong.wcs.crpix - (3.0, 1.5)
        image = NDData(image.data, uncertainty=StdDevUncertainty(np.ones(SHAPE)), wcs=wrong)
        alignment = align(reference, image, max_shift=10)
        check = check_sources(reference, image, alignment, fwhm=3.5)
        assert check.sources.n_matched > 12
        assert np.all(np.abs(check.sources.shift.value - (3.0, 1.5)) < 4 * check.sources.shift_error.value)
        assert check.agrees

    def test_disagreement(self, pair):
        result = chi2_shift(*pair, max_shift=15)
        from dataclasses import replace

        check = check_sources(*pair, replace(result, shift=result.shift + [0.5, 0] * u.pixel))
        assert check.agrees is False
        assert check.sigmas > 20

    def test_sigmas_are_those_of_a_normal_deviate(self, pair):
        from dataclasses import replace

        check = check_sources(*pair, chi2_shift(*pair, max_shift=15))
        # Two independent axes of unit error: |d|^2 = 2.2958 is exceeded in 31.7 per cent, as 1 sigma is.
        made = replace(check, difference=[np.sqrt(2.2957489), 0] * u.pixel, covariance=np.eye(2) * u.pixel**2)
        assert_allclose(made.sigmas, 1, rtol=1e-6)

    def test_nothing_to_compare(self, pair):
        dark = NDData(np.random.default_rng(1).standard_normal(SHAPE))
        result = chi2_shift(*pair, max_shift=15)
        check = check_sources(dark, dark, result)
        assert np.isnan(check.sigmas)
        assert check.agrees is None
        assert "no check: 0 and 0 point sources found, fewer than three in common" in str(check)


class TestMask:
    def test_stars_out_and_stars_only(self, pair, places):
        out, only = source_mask(pair[0]), source_mask(pair[0], keep="sources")
        assert (out == ~only).all()
        for x, y, _ in places:
            assert out[round(y), round(x)]
        assert 0.03 < out.mean() < 0.3

    def test_what_is_left_holds_no_star(self, pair):
        left = pair[0].data[~source_mask(pair[0])]
        # The highest of 20000 normal deviates is below 5 but in 1 of 200 cases.
        assert left.max() < 5

    def test_radius_and_own_mask(self, pair):
        assert source_mask(pair[0], radius=2).mean() < source_mask(pair[0], radius=6).mean()
        mask = np.zeros(SHAPE, bool)
        mask[:3] = True
        own = NDData(pair[0].data, mask=mask)
        assert source_mask(own)[:3].all()
        assert source_mask(own, keep="sources")[:3].all()

    def test_emission_without_its_stars(self):
        """Stars that do not belong to the sky pull the shift; masked they do not."""
        sky = simulate_pair(SHAPE, shift=(2.4, 1.3), snr=10, fwhm=3, rng=11)
        rng = np.random.default_rng(12)
        y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
        image = sky.image.copy()
        reference = sky.reference.copy()
        for x0, y0 in rng.uniform(15, 125, (15, 2)):  # fixed to the detector, like ghosts
            star = 40 * np.exp(-0.5 * ((x - x0) ** 2 + (y - y0) ** 2) / WIDTH**2)
            image.data += star
            reference.data += star
        for one in (reference, image):
            one.mask = one.mask | source_mask(one)
        result = chi2_shift(reference, image, max_shift=10)
        assert np.all(np.abs(result.shift - sky.shift) < 4 * result.shift_error)


BAD = [
    (find_sources, {"fwhm": 0}, "`fwhm` must be a number > 0"),
    (find_sources, {"threshold": -1}, "`threshold` must be a number > 0"),
    (find_sources, {"fwhm": "3"}, "`fwhm` must be a number"),
    (source_mask, {"keep": "stars"}, '`keep` must be "extended" or "sources"'),
    (source_mask, {"radius": 0}, "`radius` must be a number > 0"),
]


@pytest.mark.parametrize(("function", "options", "words"), BAD)
def test_bad_options(function, options, words):
    with pytest.raises((TypeError, ValueError), match=words):
        function(np.ones((30, 30)), **options)


def test_bad_images(pair):
    with pytest.raises(ValueError, match="`image` has 1 dimension"):
        find_sources(np.ones(30))
    with pytest.raises(ValueError, match="`boundary` must be"):
        register_sources(*pair, boundary="wrap")
    with pytest.raises(
        TypeError, match=r"`result` must be a ShiftResult .*got a tuple; give what chi2_shift"
    ):
        check_sources(*pair, (1, 2))


@pytest.mark.slow
@pytest.mark.parametrize("number", [5, 20])
def test_errors_are_true(places, number, record_property):
    difference, error = [], []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        shift = rng.uniform(-8, 8, 2)
        images = (
            star_field(rng, places=places, number=number),
            star_field(rng, places=places, number=number, shift=shift),
        )
        result = register_sources(*images, max_shift=15)
        difference.append(result.shift.value - shift)
        error.append(result.shift_error.value)
    pull = np.array(difference) / np.array(error)
    record_property("draws", len(pull))
    # The rms of 300 values is known to 4 per cent; scatter that is taken for real by chance makes it smaller.
    assert 0.85 < np.sqrt(np.mean(pull**2)) < 1.1
    assert np.abs(pull).max() < 5


ODD = {
    "constant": np.ones((40, 40)),
    "hardly any good pixel": np.where(np.random.default_rng(1).random((40, 40)) < 0.9, np.nan, 1.0),
    "tiny": np.random.default_rng(1).standard_normal((6, 6)),
    "1e-17": (1e-17 * np.random.default_rng(1).standard_normal((60, 60))).astype("f4"),
    "uncertainties of 0": NDData(np.ones((40, 40)), uncertainty=StdDevUncertainty(np.zeros((40, 40)))),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_images_have_no_sources(name):
    assert len(find_sources(ODD[name])) == 0
    assert not source_mask(ODD[name])[np.isfinite(np.asarray(getattr(ODD[name], "data", ODD[name])))].any()
