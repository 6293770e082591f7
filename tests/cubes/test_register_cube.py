"""`register_cube`: the joint shift, its error, the corrected WCS, flags, and what may be given."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData, NDData, StdDevUncertainty
from astropy.wcs import WCS
from numpy.testing import assert_allclose

from astroreg import (
    AstroregWarning,
    CubeShift,
    ShiftFlag,
    chi2_shift,
    correct_file,
    register_channels,
    register_cube,
    restore_header,
)
from astroreg.simulation import SphericalSky, tan_wcs
from tests.cubes.conftest import cube_header, cube_wcs, line

SIGMA = 0.3


@pytest.fixture(scope="module")
def pair(scene):
    return scene.draw(SIGMA, np.random.default_rng(2), wcs=cube_wcs())


@pytest.fixture(scope="module")
def result(pair):
    return register_cube(*pair, max_shift=12)


@pytest.fixture(scope="module")
def table(pair):
    return register_channels(*pair, max_shift=12)


def sigmas(found, scene):
    return np.abs(found.shift.value - scene.shift) / found.shift_error.value


class TestShift:
    def test_shift_and_scale(self, result, scene):
        assert isinstance(result, CubeShift)
        assert result.flags == 0
        assert (sigmas(result, scene) < 4).all()
        assert abs(result.scale.value - 1.7) < 5 * result.scale_error.value
        # 2 components of 3600 pixels: chi2 / dof is known to 1.7 per cent.
        assert abs(result.reduced_chi2 - 1) < 0.08

    def test_better_than_the_sum_of_the_channels(self, pair, result):
        sums = [
            NDData(
                c.data.sum(0), uncertainty=StdDevUncertainty(np.full(c.data.shape[1:], SIGMA * np.sqrt(20)))
            )
            for c in pair
        ]
        plain = chi2_shift(*sums, max_shift=12)
        assert (result.shift_error < 0.8 * plain.shift_error).all()

    def test_empty_channels_have_no_weight(self, result):
        assert_allclose(result.channel_weights.sum(), 1)
        assert result.channel_weights[15:].sum() < 0.02
        assert result.channel_weights[4:13].sum() > 0.9

    def test_swapped(self, pair, result):
        back = register_cube(*pair[::-1], max_shift=12)
        # The components are learnt anew, with the scale the other way round.
        assert_allclose(back.shift.value, -result.shift.value, atol=0.1 * result.shift_error.value.max())

    def test_itself(self, pair):
        assert_allclose(register_cube(pair[0], pair[0]).shift.value, 0, atol=1e-6)

    def test_masks(self, scene):
        rng = np.random.default_rng(5)
        masks = [rng.random((20, 64, 64)) < 0.02 for _ in range(2)]
        found = register_cube(*scene.draw(SIGMA, rng, masks=masks), max_shift=12)
        assert found.flags == 0
        assert (sigmas(found, scene) < 4).all()
        # A pixel with a bad channel is not lost: the others tell what is missing.
        assert found.n_pixels > 0.8 * 60 * 61

    def test_a_channel_without_a_good_pixel(self, pair, scene):
        reference, image = (copy.deepcopy(c) for c in pair)
        image.data[9] = np.nan
        found = register_cube(reference, image, max_shift=12)
        assert (sigmas(found, scene) < 4).all()
        assert found.channel_weights[9] == 0

    def test_noise_estimated_and_empirical(self, pair, result):
        bare = register_cube(*(c.data for c in pair), max_shift=12)
        assert bare.flags == ShiftFlag.NOISE_ESTIMATED
        assert bare.uncertainty == "empirical"
        assert_allclose(bare.shift.value, result.shift.value, atol=result.shift_error.value.max())
        # The scatter of 3600 pixels of two components, correlated over a few: to some 15 per cent.
        assert_allclose(bare.shift_error.value, result.shift_error.value, rtol=0.5)

    def test_fixed_scale_and_background(self, scene):
        rng = np.random.default_rng(6)
        planes = [
            np.einsum("mk,myx->kyx", scene.profiles, maps) + SIGMA * rng.standard_normal((20, 64, 64))
            for maps in (scene.still, scene.moved)
        ]
        cubes = [NDData(p, uncertainty=StdDevUncertainty(np.full(p.shape, SIGMA))) for p in planes]
        found = register_cube(*cubes, max_shift=12, fit_scale=False, fit_background=False)
        assert (sigmas(found, scene) < 4).all()
        assert found.scale == 1

    def test_other_shapes(self, pair, scene):
        part = NDData(pair[1].data[:, 5:60, 8:], uncertainty=StdDevUncertainty(np.full((20, 55, 56), SIGMA)))
        found = register_cube(NDData(pair[0].data, uncertainty=pair[0].uncertainty), part, max_shift=20)
        assert np.all(
            np.abs(found.shift.value - np.array(scene.shift) + (8, 5)) < 4 * found.shift_error.value
        )

    def test_wrap(self, scene):
        y, x = np.mgrid[:48, :48] * 2 * np.pi / 48
        wave = lambda dx, dy: np.sin(x - dx) + np.cos(2 * (y - dy) + x - dx)  # noqa: E731
        profile = np.array([0.2, 1.0, 0.5])[:, None, None]
        step = 2 * np.pi / 48
        found = register_cube(
            profile * wave(0, 0), profile * wave(2.3 * step, -1.6 * step), boundary="wrap", max_shift=8
        )
        assert_allclose(found.shift.value, [2.3, -1.6], atol=1e-5)

    def test_inputs_stay(self, scene):
        pair = scene.draw(SIGMA, np.random.default_rng(2), wcs=cube_wcs())
        before = copy.deepcopy(pair[1])
        register_cube(*pair, max_shift=12).correct(pair[1])
        assert (pair[1].data == before.data).all()
        assert (pair[1].wcs.wcs.crval == before.wcs.wcs.crval).all()


class TestReferenceOfOneImage:
    @pytest.fixture
    def found(self, pair, scene):
        rng = np.random.default_rng(9)
        data = 3 * scene.still[0] + 2 * scene.still[1] + 0.2 * rng.standard_normal((64, 64))
        return register_cube(
            NDData(data, uncertainty=StdDevUncertainty(np.full((64, 64), 0.2))), pair[1], max_shift=12
        )

    def test_shift(self, found, scene):
        # The image is another mixture than the cube can give exactly: within its own error all the same.
        assert (sigmas(found, scene) < 4).all()
        assert found.correlation > 0.9

    def test_wcs(self, found):
        assert found.corrected_wcs().naxis == 3


class TestSky:
    def test_correction(self, result, scene):
        """Content at p is truly at W(p - shift): the corrected WCS says so, its spectral axis as before."""
        old, new = cube_wcs(), result.corrected_wcs()
        middle, (dx, dy) = 31.5, result.shift.value
        truth = old.pixel_to_world_values(middle - dx, middle - dy, 7)
        assert_allclose(new.pixel_to_world_values(middle, middle, 7), truth, rtol=1e-10)
        assert_allclose(new.wcs.crval[2], old.wcs.crval[2], rtol=0)
        assert_allclose(new.wcs.cdelt[2], old.wcs.cdelt[2], rtol=0)

    def test_header_and_undo(self, result):
        header = cube_header()
        corrected = result.update_header(header)
        assert WCS(corrected).naxis == 3
        x = [10.0, 20.0, 3.0]
        assert_allclose(
            WCS(corrected).pixel_to_world_values(*x),
            result.corrected_wcs().pixel_to_world_values(*x),
            rtol=1e-9,
        )
        assert_allclose(
            WCS(corrected, key="Z").pixel_to_world_values(*x),
            WCS(header).pixel_to_world_values(*x),
            rtol=1e-12,
        )
        back = restore_header(corrected)
        assert all(back[name] == header[name] for name in header)

    def test_correct_nddata(self, pair, result):
        image = CCDData(pair[1], meta=cube_header())
        corrected = result.correct(image)
        assert type(corrected) is CCDData
        assert corrected.wcs.naxis == 3
        assert_allclose(WCS(corrected.meta).wcs.crval, corrected.wcs.wcs.crval, rtol=1e-9)

    def test_files(self, pair, result, tmp_path):
        for name, cube in zip(("reference", "image"), pair, strict=True):
            sci = fits.ImageHDU(cube.data, cube_header(), name="SCI", ver=1)
            err = fits.ImageHDU(cube.uncertainty.array, name="ERR", ver=1)
            fits.HDUList([fits.PrimaryHDU(), sci, err]).writeto(tmp_path / f"{name}.fits")
        found = register_cube(tmp_path / "reference.fits", tmp_path / "image.fits", max_shift=12)
        assert_allclose(found.shift, result.shift)
        correct_file(tmp_path / "image.fits", found.sky_correction, tmp_path / "out.fits")
        with fits.open(tmp_path / "out.fits") as hdus:
            assert_allclose(WCS(hdus[1].header).wcs.crval, found.corrected_wcs().wcs.crval, rtol=1e-9)
            assert (hdus[1].data == pair[1].data).all()

    def test_max_shift_as_an_angle(self, pair, result):
        assert_allclose(register_cube(*pair, max_shift=12 * u.arcsec).shift, result.shift)

    def test_a_part_cut_out_with_its_wcs(self, pair, result):
        reference, image = pair
        wcs = reference.wcs.deepcopy()
        wcs.pixel_shape = reference.data.shape[::-1]  # without it astropy 6 cannot cut the third axis
        cut = NDData(
            reference.data[:, 3:, 7:],
            uncertainty=StdDevUncertainty(np.full((20, 61, 57), SIGMA)),
            wcs=wcs[:, 3:, 7:],
        )
        found = register_cube(cut, image, max_shift=20)
        assert_allclose(found.grid_offset.value, [7, 3], atol=1e-6)
        assert_allclose(
            found.shift.value - result.shift.value, [7, 3], atol=0.5 * result.shift_error.value.max()
        )
        other, one = found.sky_correction, result.sky_correction
        assert_allclose(other.lon.to_value(u.arcsec), one.lon.to_value(u.arcsec), atol=0.01)

    def test_other_grid(self):
        """The reference turned, with smaller pixels; the WCS of the image wrong by (2.4, -1.5) pixels."""
        sky = SphericalSky(radius=1.2 * u.arcmin, smallest=3 * u.arcsec, rng=5)
        turned = tan_wcs((110, 110), pixel_scale=0.8 * u.arcsec, rotation=25 * u.deg)
        true = tan_wcs((64, 64))
        rng = np.random.default_rng(6)
        cubes = []
        for plane_wcs in (turned, true):
            plane = sky.observe(plane_wcs, fwhm=3 * u.arcsec).data
            data = line(20, 8, 2.0)[:, None, None] * plane + 0.2 * rng.standard_normal((20, *plane.shape))
            header = plane_wcs.to_header()
            claimed = cube_wcs(**{key: header[key] for key in header if key[:2] in ("CR", "CD", "PC")})
            cubes.append(NDData(data, uncertainty=StdDevUncertainty(np.full(data.shape, 0.2)), wcs=claimed))
        cubes[1].wcs.wcs.crpix = cubes[1].wcs.wcs.crpix - [2.4, -1.5, 0]
        cubes[1].wcs.wcs.set()
        found = register_cube(*cubes, max_shift=10)
        assert found.ok
        assert np.all(np.abs(found.shift.value - (2.4, -1.5)) < 4 * found.shift_error.value)
        at = np.array([20.0, 40.0])
        corrected = found.corrected_wcs().celestial.pixel_to_world(at, at)
        # A pixel is an arcsecond, and the error some hundredths of a pixel.
        apart = corrected.separation(true.pixel_to_world(at, at))
        assert (apart < 5 * np.hypot(*found.shift_error.value) * u.arcsec).all()
        image = sky.observe(turned, fwhm=3 * u.arcsec, noise=0.05, rng=7)
        flat = register_cube(image, cubes[1], max_shift=10)
        assert np.all(np.abs(flat.shift.value - (2.4, -1.5)) < 4 * flat.shift_error.value)
        table = register_channels(*cubes, max_shift=10)
        pull = ((table["dx"].value - 2.4) / table["dx_error"].value)[5:12]
        assert np.abs(pull).max() < 4

    def test_other_channels(self, pair):
        reference = NDData(
            pair[0].data, uncertainty=copy.copy(pair[0].uncertainty), wcs=cube_wcs(CRVAL3=1500.0)
        )
        with pytest.warns(AstroregWarning, match="differ by up to 2 channels"):
            register_cube(reference, pair[1], max_shift=12)


class TestKinds:
    def test_spectral_cube(self, pair, result):
        module = pytest.importorskip("spectral_cube")
        cubes = [module.SpectralCube(c.data * u.K, wcs=c.wcs) for c in pair]
        found = register_cube(*cubes, max_shift=12)
        assert_allclose(found.shift.value, result.shift.value, atol=result.shift_error.value.max())
        assert found.corrected_wcs().naxis == 3
        assert found.flags == ShiftFlag.NOISE_ESTIMATED

    def test_masked_spectral_cube(self, pair, scene):
        module = pytest.importorskip("spectral_cube")
        bad = np.random.default_rng(3).random(pair[0].data.shape) < 0.02
        cubes = []
        for c in pair:
            data = np.where(bad, 1e6, c.data)
            mask = module.BooleanArrayMask(~bad, wcs=c.wcs)
            cubes.append(module.SpectralCube(data * u.K, wcs=c.wcs, mask=mask))
        assert (sigmas(register_cube(*cubes, max_shift=12), scene) < 4).all()

    def test_ndcube(self, pair, result):
        module = pytest.importorskip("ndcube")
        cubes = [
            module.NDCube(c.data, wcs=c.wcs, uncertainty=copy.copy(c.uncertainty), unit=u.K) for c in pair
        ]
        found = register_cube(*cubes, max_shift=12)
        assert_allclose(found.shift, result.shift)

    def test_four_axes_in_a_file(self, pair, result, tmp_path):
        for name, cube in zip(("reference", "image"), pair, strict=True):
            header = cube_header(CTYPE4="STOKES", CRVAL4=1.0, CDELT4=1.0, CRPIX4=1.0)
            fits.writeto(tmp_path / f"{name}.fits", cube.data[None].astype(">f4"), header)
        found = register_cube(tmp_path / "reference.fits", tmp_path / "image.fits", max_shift=12)
        assert_allclose(found.shift.value, result.shift.value, atol=result.shift_error.value.max())
        assert found.corrected_wcs().naxis == 4


class TestFlags:
    def test_noise_alone(self, scene):
        rng = np.random.default_rng(7)
        cubes = [
            NDData(rng.standard_normal((20, 40, 40)), uncertainty=StdDevUncertainty(np.ones((20, 40, 40))))
            for _ in range(2)
        ]
        with pytest.warns(AstroregWarning, match="NO_SIGNAL"):
            found = register_cube(*cubes, max_shift=10)
        assert np.isnan(found.shift).all()
        assert found.sky_correction is None

    def test_at_the_bound(self, pair):
        with pytest.warns(AstroregWarning, match="AT_SEARCH_BOUND"):
            assert not register_cube(*pair, max_shift=2).ok

    def test_wrong_uncertainties(self, pair):
        cubes = [NDData(c.data, uncertainty=StdDevUncertainty(c.uncertainty.array / 3)) for c in pair]
        with pytest.warns(AstroregWarning, match="BAD_CHI2"):
            assert register_cube(*cubes, max_shift=12).reduced_chi2 > 3

    def test_two_of_nothing(self):
        with pytest.warns(AstroregWarning, match="NO_SIGNAL"):
            assert not register_cube(np.ones((4, 20, 20)), np.ones((4, 20, 20))).determined


class TestChannels:
    def test_rows(self, table, scene):
        assert len(table) == 20
        assert_allclose(table["coordinate"].to_value(u.m / u.s), 1000 + 250 * np.arange(20))
        found = np.isfinite(table["dx"].value)
        assert found[4:13].all()
        assert not found[16:].any()
        for name, truth in zip(("dx", "dy"), scene.shift, strict=True):
            pull = (table[name].value - truth) / table[f"{name}_error"].value
            # Some ten normal deviates an axis.
            assert np.nanmax(np.abs(pull)) < 4

    def test_flags(self, table):
        empty = ~np.isfinite(table["dx"].value)
        assert (table["flags"][empty] == int(ShiftFlag.NO_SIGNAL)).all()
        assert (table["flags"][~empty] == 0).all()
        assert table["dx"].unit == u.pixel

    def test_the_channels_together_are_no_better(self, table, result):
        good = np.isfinite(table["dx"].value)
        together = 1 / np.sqrt(np.sum(table["dx_error"].value[good] ** -2))
        assert result.shift_error[0].value < 1.05 * together

    def test_written_and_read(self, table, tmp_path):
        table.write(tmp_path / "channels.ecsv")
        assert type(table).read(tmp_path / "channels.ecsv")["dy"].unit == u.pixel


GOOD = np.random.default_rng(1).standard_normal((4, 20, 22))

REFUSED = {
    "other channels": (GOOD[:3], "`reference` has 4 channels, `image` 3; give the same channels"),
    "one axis": (GOOD[0, 0], r"`image` has 1 dimensions .* give a cube of three"),
    "an image": (GOOD[0], r"`image` has 2 dimensions .* give a cube of three"),
    "four axes": (np.stack([GOOD, GOOD]), r"`image` has 4 dimensions"),
    "small planes": (GOOD[:, :4], "the planes of `image` are 22 pixel wide and 4 high"),
    "empty": (GOOD[:0], "`image` is empty"),
    "nothing finite": (np.full(GOOD.shape, np.nan), "`image` has no good pixel"),
    "another mask": (NDData(GOOD, mask=np.zeros((3, 3), bool)), "the mask of `image` has shape"),
    "channels last": (
        NDData(GOOD, wcs=cube_wcs().swapaxes(0, 2)),
        r"the channels of `image` are along axis 2 of its array by its WCS; give them first",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    bad, words = REFUSED[name]
    with pytest.raises(ValueError, match=words):
        register_cube(GOOD, bad)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_shift", 0),
        ("min_overlap", 2),
        ("boundary", "periodic"),
        ("uncertainty", "none"),
        ("max_shift", 1 * u.deg),
    ],
)
def test_bad_options(option, value):
    with pytest.raises((TypeError, ValueError), match=f"`{option}`"):
        register_cube(GOOD, GOOD, **{option: value})


def test_units():
    with pytest.raises(ValueError, match="`reference` is in K, which does not convert to Jy"):
        register_cube(GOOD * u.K, GOOD * u.Jy, fit_scale=False)


def test_channels_of_an_image():
    with pytest.raises(ValueError, match="`reference` is one image; give a cube"):
        register_channels(GOOD[0], GOOD)


def test_images_name_what_takes_cubes():
    with pytest.raises(ValueError, match=r"`reference` has 3 dimensions .*register_cube takes two cubes"):
        chi2_shift(GOOD, GOOD)
