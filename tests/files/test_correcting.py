"""Correcting whole files: every HDU, one rotation, all other bytes as they were."""

import bz2
import gzip
import multiprocessing
import os

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from astroreg.exceptions import AlreadyCorrectedError, AstroregWarning, CorrectionError
from astroreg.files import apply_correction, correct_file, restore_file
from astroreg.sky import SkyCorrection
from tests.files.conftest import celestial_cards

PIXEL = 0.2 / 3600  # deg


def raw_hdus(path):
    """(header, data) of every HDU as bytes."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    with fits.open(path, disable_image_compression=True) as hdus:
        infos = [hdu.fileinfo() for hdu in hdus]
    return [
        (content[i["hdrLoc"] : i["datLoc"]], content[i["datLoc"] : i["datLoc"] + i["datSpan"]]) for i in infos
    ]


def cards(header_bytes):
    return [header_bytes[start : start + 80] for start in range(0, len(header_bytes), 80)]


def grid():
    x, y = np.meshgrid(np.linspace(0, 63, 5), np.linspace(0, 47, 5))
    return x.ravel(), y.ravel()


def deviation(before, after, correction, hdu):
    """Largest distance in pixel between an HDU's new WCS and the rotation of its old one."""
    with fits.open(before) as old, fits.open(after) as new:
        nominal, corrected = WCS(old[hdu].header, old), WCS(new[hdu].header, new)
        wanted = correction.apply(nominal.pixel_to_world(*grid()))
        return np.max(corrected.pixel_to_world(*grid()).separation(wanted).deg) / PIXEL


class TestExposure:
    @pytest.fixture
    def output(self, exposure_file, correction, tmp_path):
        return correct_file(exposure_file, correction, tmp_path / "corrected.fits")

    def test_one_rotation_for_all_chips_and_planes(self, exposure_file, correction, output):
        for name in ("SCI", "ERR", "DQ"):
            for chip in (1, 2):
                # the tolerance of the header edit itself
                assert deviation(exposure_file, output, correction, (name, chip)) < 1e-6

    def test_data_and_other_hdus_are_the_same_bytes(self, exposure_file, output):
        before, after = raw_hdus(exposure_file), raw_hdus(output)
        assert len(before) == len(after)
        assert [data for _, data in before] == [data for _, data in after]
        unchanged = [old[0] == new[0] for old, new in zip(before, after)]
        # primary, 6 image planes, table, 4 lookup tables, foreign HDU
        assert unchanged == [True] + [False] * 6 + [True] * 6

    def test_untouched_cards_are_the_same_bytes(self, exposure_file, output):
        edited = {b"CRVAL1", b"CRVAL2", b"CD1_1", b"CD1_2", b"CD2_1", b"CD2_2", b"CHECKSUM"}
        for (old, _), (new, _) in zip(raw_hdus(exposure_file), raw_hdus(output)):
            kept = [
                card
                for card in cards(old)
                if card[:8].strip() not in edited and card.strip() not in (b"", b"END")
            ]
            assert [card for card in cards(new) if card in kept] == kept

    def test_checksums_hold(self, output):
        # astropy warns, and so fails here, where a sum is wrong
        with fits.open(output, checksum=True) as hdus:
            assert all("CHECKSUM" in hdu.header for hdu in hdus)
            assert hdus["SCI", 2].data.shape == (48, 64)

    def test_undo_is_exact(self, exposure_file, output, tmp_path):
        restored = restore_file(output, tmp_path / "restored.fits")
        for (old, old_data), (new, new_data) in zip(raw_hdus(exposure_file), raw_hdus(restored)):
            assert old_data == new_data
            ours = [card for card in cards(new) if not card.startswith((b"HISTORY", b"CHECKSUM", b" "))]
            assert ours == [card for card in cards(old) if not card.startswith((b"CHECKSUM", b" "))]
        with fits.open(restored, checksum=True) as hdus:
            assert len(hdus) == 13

    def test_same_correction_twice_is_refused(self, output, correction, tmp_path):
        with pytest.raises(AlreadyCorrectedError, match="applied before"):
            correct_file(output, correction, tmp_path / "again.fits")
        assert not (tmp_path / "again.fits").exists()

    def test_two_corrections_and_two_undos(self, exposure_file, output, correction, tmp_path):
        second = SkyCorrection.from_coordinates(
            correction.pivot, correction.pivot.spherical_offsets_by(-1 * u.arcsec, 2 * u.arcsec)
        )
        correct_file(output, second, output, overwrite=True)
        assert deviation(exposure_file, output, correction.compose(second), ("SCI", 1)) < 1e-6
        restore_file(output, output, overwrite=True)
        assert deviation(exposure_file, output, correction, ("SCI", 1)) < 1e-6
        restore_file(output, output, overwrite=True)
        assert fits.getheader(output, 1)["CRVAL1"] == fits.getheader(exposure_file, 1)["CRVAL1"]
        with pytest.raises(CorrectionError, match="holds no correction made by astroreg"):
            restore_file(output, output, overwrite=True)

    @pytest.mark.parametrize("ext", [("SCI", 2), "SCI,2", 4, [4]])
    def test_ext_takes_the_planes_that_go_with_it(self, ext, exposure_file, correction, tmp_path):
        output = correct_file(exposure_file, correction, tmp_path / "one.fits", ext=ext)
        changed = [old != new for old, new in zip(raw_hdus(exposure_file), raw_hdus(output))]
        assert np.flatnonzero(changed).tolist() == [4, 5, 6]

    def test_ext_without_wcs(self, exposure_file, correction, tmp_path):
        with pytest.raises(CorrectionError, match=r"`ext`: HDU 7 of .* has no celestial WCS"):
            correct_file(exposure_file, correction, tmp_path / "one.fits", ext=["CATALOG"])

    def test_ext_that_is_not_there(self, exposure_file, correction, tmp_path):
        with pytest.raises(ValueError, match=r"has no HDU \('SCI', 3\); it has 0, SCI,1, ERR,1"):
            correct_file(exposure_file, correction, tmp_path / "one.fits", ext=("SCI", 3))

    def test_history_reaches_every_header(self, exposure_file, correction, tmp_path):
        output = correct_file(exposure_file, correction, tmp_path / "h.fits", history=["measured with care"])
        assert all("measured with care" in list(fits.getheader(output, n)["HISTORY"]) for n in range(1, 7))

    def test_systematic_error_reaches_every_header(self, exposure_file, correction, tmp_path):
        output = correct_file(exposure_file, correction, tmp_path / "s.fits", systematic=36 * u.mas)
        assert [fits.getheader(output, n)["CSYER2"] for n in range(1, 7)] == pytest.approx([1e-5] * 6)

    def test_input_is_not_touched(self, exposure_file, correction, tmp_path):
        before = exposure_file.read_bytes()
        correct_file(exposure_file, correction, tmp_path / "x.fits")
        assert exposure_file.read_bytes() == before


class TestCompression:
    @pytest.mark.parametrize("kind", ["RICE_1", "GZIP_1", "HCOMPRESS_1"])
    def test_tile_compressed(self, kind, plain_file, correction, tmp_path):
        path, output = tmp_path / "plain.fits.fz", tmp_path / "out.fits.fz"
        with fits.open(plain_file) as hdus:
            image = fits.CompImageHDU(hdus[0].data, hdus[0].header, compression_type=kind)
            fits.HDUList([fits.PrimaryHDU(), image]).writeto(path, checksum=True)
        correct_file(path, correction, output)
        assert deviation(path, output, correction, 1) < 1e-6
        assert raw_hdus(path)[1][1] == raw_hdus(output)[1][1]
        with fits.open(output, disable_image_compression=True, checksum=True) as hdus:
            assert hdus[1].header["ZCMPTYPE"] == kind
            assert "ZHECKSUM" not in hdus[1].header
            assert hdus[1].header["XTENSION"] == "BINTABLE"

    @pytest.mark.parametrize("suffix", [".gz", ".bz2"])
    def test_whole_file_compressed(self, suffix, plain_file, correction, tmp_path):
        pack, unpack = (gzip.compress, gzip.decompress) if suffix == ".gz" else (bz2.compress, bz2.decompress)
        packed, plain = tmp_path / f"in.fits{suffix}", tmp_path / "plain_out.fits"
        packed.write_bytes(pack(plain_file.read_bytes()))
        output = correct_file(packed, correction, tmp_path / f"out.fits{suffix}")
        assert deviation(packed, output, correction, 0) < 1e-6
        correct_file(packed, correction, plain)
        data = fits.getdata(plain_file).tobytes()
        assert data in plain.read_bytes()
        assert data in unpack(output.read_bytes())


class TestRefusals:
    def test_output_exists(self, plain_file, correction, tmp_path):
        output = tmp_path / "out.fits"
        output.write_text("mine")
        with pytest.raises(FileExistsError, match="overwrite=True"):
            correct_file(plain_file, correction, output)
        assert output.read_text() == "mine"

    def test_input_is_output(self, plain_file, correction):
        with pytest.raises(FileExistsError, match="overwrite=True"):
            correct_file(plain_file, correction, plain_file)
        before = plain_file.read_bytes()
        correct_file(plain_file, correction, plain_file, overwrite=True)
        assert plain_file.read_bytes() != before

    def test_no_wcs(self, correction, tmp_path):
        path = tmp_path / "none.fits"
        fits.PrimaryHDU(np.zeros((4, 4))).writeto(path)
        with pytest.raises(CorrectionError, match="no image with a celestial WCS"):
            correct_file(path, correction, tmp_path / "out.fits")
        assert sorted(p.name for p in tmp_path.iterdir()) == ["none.fits"]

    def test_missing_file(self, correction, tmp_path):
        with pytest.raises(FileNotFoundError, match="there is no file"):
            correct_file(tmp_path / "no.fits", correction, tmp_path / "out.fits")

    @pytest.mark.parametrize("content", [b"", b"SIMPLE  =", b"hello", b"\x1f\x8b" + b"0" * 50, b"\0" * 5760])
    def test_not_fits(self, content, correction, tmp_path):
        path = tmp_path / "bad.fits"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"bad\.fits (is not a FITS file|has no image|cannot be read)"):
            correct_file(path, correction, tmp_path / "out.fits")
        assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.fits"]

    def test_cut_short(self, plain_file, correction, tmp_path):
        plain_file.write_bytes(plain_file.read_bytes()[:-4000])
        with pytest.raises(ValueError, match="is cut short; get a complete copy"):
            correct_file(plain_file, correction, tmp_path / "out.fits")
        assert not (tmp_path / "out.fits").exists()

    def test_missing_padding_is_no_loss(self, plain_file, correction, tmp_path):
        header = len(plain_file.read_bytes()) % 2880
        assert header == 0
        end = 2880 + 4 * 64 * 48  # one header block, then the pixels
        plain_file.write_bytes(plain_file.read_bytes()[:end])
        with pytest.warns(UserWarning, match="truncated"):
            shape = fits.getdata(correct_file(plain_file, correction, tmp_path / "out.fits")).shape
        assert shape == (48, 64)

    def test_gwcs_of_jwst_is_told(self, plain_file, correction, tmp_path):
        path = tmp_path / "jwst.fits"
        with fits.open(plain_file) as hdus:
            table = fits.BinTableHDU.from_columns(
                [fits.Column("ASDF_METADATA", "8B", array=np.zeros((1, 8)))]
            )
            table.name = "ASDF"
            fits.HDUList([hdus[0], table]).writeto(path)
        with pytest.warns(AstroregWarning, match="also holds a generalized WCS") as caught:
            correct_file(path, correction, tmp_path / "out.fits")
        assert len(caught) == 1

    def test_detector_shift_of_lookup_tables(self, exposure_file, correction, tmp_path):
        with pytest.raises(CorrectionError, match="lookup tables"):
            correct_file(exposure_file, correction, tmp_path / "out.fits", kind="detector")


class TestOddHeaders:
    @pytest.mark.filterwarnings("ignore:The WCS transformation has more axes")
    def test_wcs_in_the_primary_header_is_corrected_there(self, correction, tmp_path):
        path = tmp_path / "inherit.fits"
        image = fits.ImageHDU(np.zeros((48, 64)))
        image.header["INHERIT"] = True
        fits.HDUList([fits.PrimaryHDU(header=celestial_cards()), image]).writeto(path)
        output = correct_file(path, correction, tmp_path / "out.fits")
        assert deviation(path, output, correction, 0) < 1e-6
        assert raw_hdus(path)[1] == raw_hdus(output)[1]

    @pytest.mark.filterwarnings("ignore:Verification reported errors", "ignore:Card 'BUNIT'", "ignore:Note")
    def test_cards_that_astropy_cannot_read_stay(self, plain_file, correction, tmp_path):
        content = bytearray(plain_file.read_bytes())
        at = content.index(b"BUNIT   ")
        strange = b"BUNIT   = 'Jy/beam   / no closing quote".ljust(80)
        content[at : at + 80] = strange
        plain_file.write_bytes(content)
        output = correct_file(plain_file, correction, tmp_path / "out.fits")
        assert strange in output.read_bytes()
        assert deviation(plain_file, output, correction, 0) < 1e-6

    def test_many_history_cards_and_blanks(self, plain_file, correction, tmp_path):
        with fits.open(plain_file, mode="update") as hdus:
            for number in range(50):
                hdus[0].header["HISTORY"] = f"step {number}"
                hdus[0].header["COMMENT"] = f"remark {number}"
            hdus[0].header.append(("", "a title"), end=True)
        output = correct_file(plain_file, correction, tmp_path / "out.fits")
        header = fits.getheader(output)
        assert list(header["HISTORY"])[:50] == [f"step {number}" for number in range(50)]
        assert list(header["COMMENT"]) == [f"remark {number}" for number in range(50)]
        restored = restore_file(output, tmp_path / "back.fits")
        assert fits.getheader(restored)["CRVAL2"] == fits.getheader(plain_file)["CRVAL2"]

    def test_four_dimensions(self, correction, tmp_path):
        path = tmp_path / "radio.fits"
        header = celestial_cards()
        header["WCSAXES"] = 4
        header["CTYPE3"], header["CTYPE4"], header["CRVAL3"], header["CDELT3"] = "FREQ", "STOKES", 1.4e9, 1e6
        header["CD3_3"], header["CD4_4"] = 1e6, 1.0
        del header["CDELT3"]
        fits.PrimaryHDU(np.zeros((1, 1, 48, 64), "f4"), header).writeto(path)
        output = correct_file(path, correction, tmp_path / "out.fits")
        with fits.open(path) as old, fits.open(output) as new:
            nominal, corrected = WCS(old[0].header).celestial, WCS(new[0].header).celestial
            wanted = correction.apply(nominal.pixel_to_world(*grid()))
            assert np.max(corrected.pixel_to_world(*grid()).separation(wanted).deg) < 1e-6 * PIXEL
            assert new[0].header["CRVAL3"] == 1.4e9


class TestGroup:
    def test_one_correction_on_several_files(self, exposure_file, plain_file, correction, tmp_path):
        out = tmp_path / "made" / "on the way"
        written = apply_correction(correction, [exposure_file, plain_file], out_dir=out, suffix="_c")
        assert written == [out / "exposure_c.fits", out / "plain_c.fits"]
        assert deviation(plain_file, written[1], correction, 0) < 1e-6

    def test_other_bands_whatever_their_grids(self, plain_file, correction, tmp_path):
        # Another camera in galactic coordinates, turned, with pixels ten times as large.
        far = plain_file.with_name("far.fits")
        place = SkyCoord(150 * u.deg, 60.01 * u.deg).galactic
        wcs = WCS(naxis=2)
        wcs.wcs.ctype, wcs.wcs.crval = ["GLON-ZEA", "GLAT-ZEA"], [place.l.deg, place.b.deg]
        wcs.wcs.crpix, wcs.wcs.cdelt = [40.0, 10.0], [-10 * PIXEL, 10 * PIXEL]
        wcs.wcs.pc = [[0.6, -0.8], [0.8, 0.6]]
        fits.PrimaryHDU(np.zeros((48, 64), "f4"), wcs.to_header()).writeto(far)
        written = correction.apply_to(
            [plain_file, far],
            out_dir=tmp_path / ".",
            suffix="_new",
            systematic=0.1 * u.arcsec,
            history=["why"],
        )
        assert [path.name for path in written] == ["plain_new.fits", "far_new.fits"]
        assert all(
            deviation(*pair, correction, 0) < 1e-6 for pair in zip([plain_file, far], written, strict=True)
        )
        for path in written:
            header = fits.getheader(path)
            assert np.isclose(header["CSYER1"], 0.1 / 3600) and "why" in header["HISTORY"]
        with pytest.raises(AlreadyCorrectedError, match="applied before"):
            correction.apply_to(written[0])

    def test_suffix_comes_before_the_kind(self, plain_file, correction):
        packed = plain_file.with_name("plain.v2.fits.gz")
        packed.write_bytes(gzip.compress(plain_file.read_bytes()))
        assert apply_correction(correction, packed)[0].name == "plain.v2_corrected.fits.gz"

    def test_same_names_are_refused_before_writing(self, plain_file, correction, tmp_path):
        other = tmp_path / "other"
        other.mkdir()
        (other / "plain.fits").write_bytes(plain_file.read_bytes())
        out = tmp_path / "out"
        out.mkdir()
        with pytest.raises(ValueError, match="`paths`: two files would be written to"):
            apply_correction(correction, [plain_file, other / "plain.fits"], out_dir=out)
        assert not list(out.iterdir())

    def test_the_folder_of_a_single_file_is_not_made(self, plain_file, correction, tmp_path):
        """A name that is mistyped shall not make a tree of folders."""
        with pytest.raises(FileNotFoundError, match=r"the folder .*no does not exist; make it first"):
            correct_file(plain_file, correction, tmp_path / "no" / "out.fits")
        assert not (tmp_path / "no").exists()

    def test_a_folder_that_is_a_file(self, plain_file, correction):
        with pytest.raises(NotADirectoryError, match=r"`out_dir`: .*plain\.fits is a file; give a folder"):
            apply_correction(correction, plain_file, out_dir=plain_file)

    def test_a_failure_tells_what_was_written(self, plain_file, correction, tmp_path):
        with pytest.raises(FileNotFoundError, match="there is no file") as caught:
            apply_correction(correction, [plain_file, tmp_path / "no.fits"])
        assert "plain_corrected.fits" in caught.value.__notes__[0]


def correct_in_place(path, lon):
    nominal = SkyCoord(150 * u.deg, 60 * u.deg)
    shift = SkyCorrection.from_coordinates(
        nominal, nominal.spherical_offsets_by(lon * u.arcsec, 0 * u.arcsec)
    )
    correct_file(path, shift, path, overwrite=True)


def test_two_processes_correct_one_file_in_turn(plain_file):
    before = fits.getheader(plain_file)
    context = multiprocessing.get_context("spawn" if os.name == "nt" else "fork")
    steps = [1.0, 2.0, 4.0, 8.0]
    workers = [context.Process(target=correct_in_place, args=(plain_file, step)) for step in steps]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    after = fits.getheader(plain_file)
    assert len(after["ASTREG*"]) == 4
    moved = WCS(after).pixel_to_world(31.5, 23.5).separation(WCS(before).pixel_to_world(31.5, 23.5))
    # rotations about nearly the same axis add up; 15 arcsec off the pivot they part by 1e-4 arcsec at most
    assert abs(moved - 15 * u.arcsec) < 1e-3 * u.arcsec
