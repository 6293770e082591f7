"""Reading one image with all that belongs to it."""

import gzip
import os

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, InverseVariance, StdDevUncertainty, VarianceUncertainty
from astropy.wcs import WCS

from astroreg.exceptions import AstroregWarning
from astroreg.files import image_from_hdus, open_image
from tests.files.conftest import NX, NY, celestial_cards, exposure


def write(path, *hdus):
    fits.HDUList(list(hdus)).writeto(path)
    return path


class TestWhichHDU:
    def test_the_first_image_by_default(self, exposure_file):
        image = open_image(exposure_file)
        np.testing.assert_array_equal(image.data, fits.getdata(exposure_file, 1))
        assert image.label == f"{exposure_file}[SCI,1]"

    @pytest.mark.parametrize("hdu", [4, "4", ("SCI", 2), "SCI,2", " sci , 2 ", np.int64(4), 4 - 13])
    def test_by_number_name_and_version(self, hdu, exposure_file):
        image = open_image(exposure_file, hdu=hdu)
        np.testing.assert_array_equal(image.data, fits.getdata(exposure_file, ("SCI", 2)))

    def test_by_name(self, exposure_file):
        np.testing.assert_array_equal(
            open_image(exposure_file, hdu="ERR").data, fits.getdata(exposure_file, 2)
        )

    @pytest.mark.parametrize("hdu", [99, -99, "NOPE", ("SCI", 9), "SCI,9", 1.5])
    def test_not_there(self, hdu, exposure_file):
        with pytest.raises(ValueError, match=r"`hdu`: .* has no HDU .*; it has 0, SCI,1, ERR,1, DQ,1"):
            open_image(exposure_file, hdu=hdu)

    def test_no_image_in_it(self, exposure_file):
        with pytest.raises(ValueError, match=r"`hdu`: .*\[CATALOG,1\] is not an image but a BinTableHDU"):
            open_image(exposure_file, hdu="CATALOG")
        with pytest.raises(ValueError, match="holds no image with two axes, its shape is"):
            open_image(exposure_file, hdu=0)

    def test_no_image_at_all(self, tmp_path):
        path = write(tmp_path / "empty.fits", fits.PrimaryHDU())
        with pytest.raises(ValueError, match="holds no image with two axes in any of its 1 HDUs"):
            open_image(path)

    def test_hdu_list_in_memory(self):
        hdus = exposure()
        image = image_from_hdus(hdus, hdu=("SCI", 2))
        assert image.data is not hdus["SCI", 2].data
        assert image.uncertainty is not None


class TestPixels:
    @pytest.mark.parametrize(
        ("stored", "wanted"),
        [
            (">f4", "f4"),
            (">f8", "f8"),
            ("u1", "f8"),
            (">i2", "f8"),
            (">u2", "f8"),
            (">i4", "f8"),
            (">i8", "f8"),
        ],
    )
    def test_native_float(self, stored, wanted, tmp_path):
        values = np.arange(12).reshape(3, 4).astype(stored)
        data = open_image(write(tmp_path / "x.fits", fits.PrimaryHDU(values))).data
        assert data.dtype == np.dtype(wanted)
        assert data.dtype.isnative
        np.testing.assert_array_equal(data, values)

    def test_blank_is_nan(self, tmp_path):
        hdu = fits.PrimaryHDU(np.array([[1, 2], [-999, 4]], dtype="i2"))
        hdu.header["BLANK"] = -999
        data = open_image(write(tmp_path / "x.fits", hdu)).data
        np.testing.assert_array_equal(data, [[1, 2], [np.nan, 4]])

    @pytest.mark.parametrize("shape", [(1, 3, 4), (1, 1, 3, 4), (3, 1, 4), (1, 3, 4, 1)])
    def test_axes_of_length_one_are_dropped(self, shape, tmp_path):
        values = np.arange(12.0).reshape(shape)
        data = open_image(write(tmp_path / "x.fits", fits.PrimaryHDU(values))).data
        np.testing.assert_array_equal(data, values.reshape(3, 4))

    def test_a_single_row_stays_two_dimensional(self, tmp_path):
        assert open_image(write(tmp_path / "x.fits", fits.PrimaryHDU(np.zeros((1, 1, 5))))).data.shape == (
            1,
            5,
        )

    def test_cubes_are_refused(self, tmp_path):
        path = write(tmp_path / "cube.fits", fits.PrimaryHDU(np.zeros((2, 3, 4))))
        with pytest.raises(ValueError, match=r"is a cube of shape \(2, 3, 4\); give one plane of it"):
            open_image(path)

    @pytest.mark.parametrize("kind", ["RICE_1", "GZIP_2"])
    def test_tile_compressed(self, kind, tmp_path):
        values = np.arange(NX * NY, dtype="i4").reshape(NY, NX)
        image = fits.CompImageHDU(values, celestial_cards(), compression_type=kind)
        opened = open_image(write(tmp_path / "x.fits.fz", fits.PrimaryHDU(), image))
        np.testing.assert_array_equal(opened.data, values)
        assert opened.wcs.wcs.crval[1] == 60.0

    def test_gzipped(self, plain_file):
        packed = plain_file.with_suffix(".fits.gz")
        packed.write_bytes(gzip.compress(plain_file.read_bytes()))
        np.testing.assert_array_equal(open_image(packed).data, open_image(plain_file).data)


class TestWCS:
    def test_lookup_tables_are_used(self, exposure_file):
        with fits.open(exposure_file) as hdus:
            wanted = WCS(hdus["SCI", 2].header, hdus).pixel_to_world_values(11, 13)
            without = WCS(hdus["ERR", 2].header, hdus).pixel_to_world_values(11, 13)
        found = open_image(exposure_file, hdu=("SCI", 2)).wcs.pixel_to_world_values(11, 13)
        np.testing.assert_array_equal(found, wanted)
        assert not np.array_equal(found, without)

    def test_none(self, tmp_path):
        assert open_image(write(tmp_path / "x.fits", fits.PrimaryHDU(np.zeros((3, 4))))).wcs is None

    def test_unreadable_is_told(self, tmp_path):
        hdu = fits.PrimaryHDU(np.zeros((3, 4)), celestial_cards())
        hdu.header["CTYPE2"] = "GLAT-TAN"
        path = write(tmp_path / "x.fits", hdu)
        with pytest.warns(AstroregWarning, match=r"the WCS of .*x\.fits cannot be used"):
            assert open_image(path).wcs is None

    @pytest.mark.filterwarnings("ignore:The WCS transformation has more axes")
    def test_inherited_from_the_primary_header(self, tmp_path):
        path = write(
            tmp_path / "x.fits", fits.PrimaryHDU(header=celestial_cards()), fits.ImageHDU(np.zeros((NY, NX)))
        )
        wcs = open_image(path).wcs
        assert wcs.wcs.crval.tolist() == [150.0, 60.0]
        assert wcs.pixel_shape == (NX, NY)

    def test_of_four_axes_the_two_of_the_image(self, tmp_path):
        header = celestial_cards()
        header["WCSAXES"] = 4
        header["CTYPE3"], header["CTYPE4"], header["CRVAL3"] = "FREQ", "STOKES", 1.4e9
        header["CD3_3"], header["CD4_4"] = 1e6, 1.0
        path = write(tmp_path / "x.fits", fits.PrimaryHDU(np.zeros((1, 1, NY, NX)), header))
        wcs = open_image(path).wcs
        wanted = WCS(celestial_cards()).pixel_to_world_values(3, 4)
        np.testing.assert_allclose(wcs.pixel_to_world_values(3, 4), wanted, rtol=1e-15)

    def test_coupled_axes_keep_the_plane(self, tmp_path):
        header = celestial_cards()
        header["WCSAXES"] = 3
        header["CTYPE3"], header["CRVAL3"], header["CD3_3"], header["CD1_3"] = "FREQ", 1.4e9, 1e6, 1e-5
        path = write(tmp_path / "x.fits", fits.PrimaryHDU(np.zeros((1, NY, NX)), header))
        wcs = open_image(path).wcs
        wanted = WCS(header).pixel_to_world_values(3, 4, 0)[:2]
        np.testing.assert_allclose(wcs.low_level_wcs.pixel_to_world_values(3, 4), wanted, rtol=1e-15)


class TestUnit:
    @pytest.mark.parametrize(
        ("text", "unit"),
        [
            ("MJy/sr", u.MJy / u.sr),
            ("ELECTRONS/S", u.electron / u.s),
            ("counts", u.ct),
            ("counts/s", u.ct / u.s),
            ("DN", u.DN),
            ("JY/BEAM", u.Jy / u.beam),
            ("W/m^2-sr", u.W / u.m**2 / u.sr),
            ("  K ", u.K),
        ],
    )
    def test_spellings(self, text, unit, tmp_path):
        hdu = fits.PrimaryHDU(np.zeros((3, 4)))
        hdu.header["BUNIT"] = text
        assert open_image(write(tmp_path / "x.fits", hdu)).unit == unit

    @pytest.mark.parametrize("value", ["", 5, True])
    def test_nothing(self, value, tmp_path):
        hdu = fits.PrimaryHDU(np.zeros((3, 4)))
        hdu.header["BUNIT"] = value
        assert open_image(write(tmp_path / "x.fits", hdu)).unit is None

    @pytest.mark.parametrize(
        "text", ["furlongs per fortnight", "1/0", "((((", "__import__('os')", "m**1e400"]
    )
    def test_no_unit_is_told(self, text, tmp_path):
        hdu = fits.PrimaryHDU(np.zeros((3, 4)))
        hdu.header["BUNIT"] = text
        path = write(tmp_path / "x.fits", hdu)
        with pytest.warns(AstroregWarning, match="is not a unit that astropy knows"):
            assert open_image(path).unit is None


class TestCompanions:
    def test_error_and_quality_of_the_same_version(self, exposure_file):
        image = open_image(exposure_file, hdu=("SCI", 2))
        assert isinstance(image.uncertainty, StdDevUncertainty)
        assert image.uncertainty.unit == u.electron / u.s
        np.testing.assert_array_equal(image.uncertainty.array, fits.getdata(exposure_file, ("ERR", 2)))
        quality = fits.getdata(exposure_file, ("DQ", 2))
        np.testing.assert_array_equal(image.flags, quality)
        assert image.flags.max() == 4096
        np.testing.assert_array_equal(image.mask, quality != 0)

    def test_ccddata_written_by_astropy(self, tmp_path):
        rng = np.random.default_rng(3)
        for kind in (StdDevUncertainty, VarianceUncertainty, InverseVariance):
            path = tmp_path / f"{kind.__name__}.fits"
            ccd = CCDData(
                rng.normal(size=(3, 4)),
                unit="adu",
                mask=rng.random((3, 4)) > 0.5,
                uncertainty=kind(rng.random((3, 4))),
            )
            ccd.write(path)
            image = open_image(path)
            assert type(image.uncertainty) is kind
            assert image.uncertainty.unit == ccd.uncertainty.unit
            np.testing.assert_array_equal(image.uncertainty.array, ccd.uncertainty.array)
            np.testing.assert_array_equal(image.mask, ccd.mask)

    def test_jwst_quality_counts_in_bit_0(self, tmp_path):
        primary = fits.PrimaryHDU()
        primary.header["TELESCOP"] = "JWST"
        flags = np.array([[0, 1], [4, 5]], dtype="u4")
        path = write(
            tmp_path / "x.fits",
            primary,
            fits.ImageHDU(np.ones((2, 2)), name="SCI"),
            fits.ImageHDU(flags, name="DQ"),
        )
        image = open_image(path)
        np.testing.assert_array_equal(image.mask, [[False, True], [False, True]])
        np.testing.assert_array_equal(image.flags, flags)

    def test_weight_zero_is_bad(self, tmp_path):
        weight = fits.ImageHDU(np.array([[0.0, 1.0], [np.nan, 2.0]]), name="WHT")
        path = write(
            tmp_path / "x.fits", fits.PrimaryHDU(), fits.ImageHDU(np.ones((2, 2)), name="SCI"), weight
        )
        image = open_image(path)
        np.testing.assert_array_equal(image.mask, [[True, False], [True, False]])
        assert image.uncertainty is None
        assert image.flags is None

    def test_own_unit_of_the_uncertainty(self, tmp_path):
        science, error = (
            fits.ImageHDU(np.ones((2, 2)), name="SCI"),
            fits.ImageHDU(np.ones((2, 2)), name="ERR"),
        )
        science.header["BUNIT"], error.header["BUNIT"] = "Jy", "mJy"
        image = open_image(write(tmp_path / "x.fits", fits.PrimaryHDU(), science, error))
        assert image.uncertainty.unit == u.mJy

    def test_other_shapes_and_unknown_kinds_are_left_out(self, tmp_path):
        unknown = fits.ImageHDU(np.ones((2, 2)), name="UNCERT")
        unknown.header["UTYPE"] = "UnknownUncertainty"
        image = open_image(
            write(
                tmp_path / "x.fits",
                fits.PrimaryHDU(np.ones((2, 2))),
                unknown,
                fits.ImageHDU(np.ones((3, 3)), name="DQ"),
            )
        )
        assert image.uncertainty is None
        assert image.mask is None


class TestDamage:
    def test_no_such_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"there is no file .*no\.fits"):
            open_image(tmp_path / "no.fits")

    def test_a_folder(self, tmp_path):
        with pytest.raises(IsADirectoryError, match="is a folder; give a FITS file in it"):
            open_image(tmp_path)

    def test_a_device_or_a_pipe(self, tmp_path):
        os.mkfifo(tmp_path / "pipe")
        for path in ("/dev/zero", tmp_path / "pipe"):
            with pytest.raises(OSError, match="is not a plain file"):
                open_image(path)

    def test_cut_short(self, plain_file):
        plain_file.write_bytes(plain_file.read_bytes()[:-8000])
        with pytest.raises(ValueError, match=r"the pixels of .*plain\.fits cannot be read"):
            open_image(plain_file)

    def test_more_pixels_than_memory_holds(self, plain_file, monkeypatch):
        monkeypatch.setattr(os, "sysconf", lambda name: 300)  # 90 kB
        with pytest.raises(ValueError, match="GB of memory; cut out the part that is wanted"):
            open_image(plain_file)

    def test_more_pixels_announced_than_there_are(self, plain_file):
        plain_file.write_bytes(
            plain_file.read_bytes().replace(b"=                   64", b"=            900000000")
        )
        with pytest.raises(ValueError, match=r"plain\.fits (is not a FITS file|announces)"):
            open_image(plain_file)

    def test_bomb_in_tiles(self, tmp_path):
        path = tmp_path / "x.fits.fz"
        write(path, fits.PrimaryHDU(), fits.CompImageHDU(np.zeros((64, 64), "i2"), compression_type="RICE_1"))
        content = path.read_bytes()
        for axis in (1, 2):
            old = f"ZNAXIS{axis} =                   64".encode()
            assert old in content
            content = content.replace(old, f"ZNAXIS{axis} =           9000000".encode().ljust(len(old)))
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"GB of memory|is not a FITS file"):
            open_image(path)
