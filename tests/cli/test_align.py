"""``astroreg align``: what is written, printed and refused."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import QTable
from astropy.wcs import WCS

from astroreg import __version__
from astroreg.cli import align as command

# Injected is a shift of 4.1 pixels. The noise allows about 0.005 pixel: 0.05 is ten sigma.
TOLERANCE = 0.05


def history(path):
    return "".join(line.ljust(72)[:72].rstrip() + " " for line in fits.getheader(path)["HISTORY"])


def test_the_corrected_file_has_the_true_coordinates(run, files, sky):
    assert sky.left_over(files / "image.fits") > 4
    answer = run("align", files / "reference.fits", files / "image.fits", "-o", files / "out.fits")
    assert answer.status == 0
    assert sky.left_over(files / "out.fits") < TOLERANCE
    assert answer.err == ""
    assert answer.out.startswith("dx = ")
    assert f"written: {files / 'out.fits'}" in answer.out


def test_pixels_mask_and_uncertainty_are_copied(run, files):
    run("align", files / "reference.fits", files / "image.fits", "-o", files / "out.fits")
    with fits.open(files / "image.fits") as before, fits.open(files / "out.fits") as after:
        assert [hdu.name for hdu in after] == [hdu.name for hdu in before]
        for one, two in zip(before, after, strict=True):
            assert one.data.tobytes() == two.data.tobytes()
        assert after[0].header["OBJECT"] == "Nebula"


def test_history_says_how_it_was_measured(run, files):
    run("align", files / "reference.fits", files / "image.fits", "-o", files / "out.fits")
    text = history(files / "out.fits")
    digest = hashlib.sha256((files / "reference.fits").read_bytes()).hexdigest()
    assert "measured dx = 3.4" in text
    assert "by chi2_shift, attached uncertainty" in text
    assert f"SHA-256 of the reference begins {digest[:24]}" in text
    assert f"astroreg {__version__}: WCS ' ' corrected 20" in text
    assert "reference.fits" in text


@pytest.mark.parametrize(
    ("option", "name"),
    [("chi2", "chi2_shift"), ("dft", "register_images"), ("taylor", "cross_correlation_shift")],
)
def test_method(run, files, option, name, sky):
    answer = run(
        "align", files / "reference.fits", files / "image.fits", "-o", files / "o.fits", "--method", option
    )
    assert f"({name}, " in answer.out
    assert sky.left_over(files / "o.fits") < TOLERANCE


def strict(text):
    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_json(run, files, sky):
    out = files / "out.fits"
    answer = run("align", files / "reference.fits", files / "image.fits", "-o", out, "--json")
    found = strict(answer.out)
    assert answer.err == ""
    assert found.keys() == {"program", "version", "command", "exit_status", "reference", "results"}
    assert (found["program"], found["command"], found["exit_status"]) == ("astroreg", "align", 0)
    (one,) = found["results"]
    assert one["trusted"] is True
    assert one["error"] is None
    assert one["output"] == str(out)
    shift = one["shift"]
    assert np.allclose([shift["x"], shift["y"]], sky.shift, atol=TOLERANCE)
    assert 0 < shift["x_error"] < 0.02
    assert shift["unit"] == "pixel"
    on_sky = one["sky_correction"]
    # pixels of 1 arcsec: the length of the correction is that of the shift
    assert np.hypot(on_sky["lon"], on_sky["lat"]) == pytest.approx(np.hypot(*sky.shift), abs=TOLERANCE)
    assert on_sky["frame"] == "icrs"
    assert one["flags"] == {"value": 0, "names": [], "sentences": []}
    assert one["scale"]["unit"] == "Jy / adu"
    assert one["scale"]["value"] == pytest.approx(7, rel=0.02)


def test_every_key_of_the_json_is_documented(run, files):
    answer = run("align", files / "reference.fits", files / "image.fits", "--dry-run", "--json")
    record = strict(answer.out)["results"][0]
    words = command._EPILOG
    nested = [key for value in record.values() if isinstance(value, dict) for key in value]
    for key in [*record, *nested]:
        assert key in words


def test_a_flagged_answer_is_not_written(run, files, sky):
    before = sky.listing(files)
    answer = run("align", files / "reference.fits", files / "noise.fits", "-o", files / "out.fits")
    assert answer.status == 3
    assert sky.listing(files) == before
    assert answer.err.startswith(f"astroreg: error: {files / 'noise.fits'}: the answer cannot be trusted")
    assert "NO_SIGNAL" in answer.err
    assert answer.err.count("\n") == 1
    assert "not determined" in answer.out


def test_unknown_is_null_in_json(run, files):
    answer = run("align", files / "reference.fits", files / "noise.fits", "-o", files / "out.fits", "--json")
    found = strict(answer.out)
    assert found["exit_status"] == answer.status == 3
    (one,) = found["results"]
    assert one["trusted"] is False
    assert one["output"] is None
    assert one["shift"]["x"] is None
    assert one["sky_correction"] is None
    assert "NO_SIGNAL" in one["flags"]["names"]


def test_force_writes_what_is_flagged_but_determined(run, files):
    # The true shift, 4.1 pixels, lies beyond the range: the answer is at its edge.
    arguments = ["align", files / "reference.fits", files / "image.fits", "--max-shift", "3pix"]
    refused = run(*arguments, "-o", files / "out.fits")
    assert refused.status == 3
    assert "AT_SEARCH_BOUND" in refused.err
    assert not (files / "out.fits").exists()
    forced = run(*arguments, "-o", files / "out.fits", "--force")
    assert forced.status == 3
    assert "written all the same (--force)" in forced.err
    assert "flags AT_SEARCH_BOUND" in history(files / "out.fits")


def test_force_writes_nothing_where_there_is_no_answer(run, files):
    answer = run("align", files / "reference.fits", files / "noise.fits", "-o", files / "o.fits", "--force")
    assert answer.status == 3
    assert not (files / "o.fits").exists()


def test_images_that_do_not_overlap_on_the_sky(run, files):
    answer = run("align", files / "reference.fits", files / "elsewhere.fits", "-o", files / "o.fits")
    assert answer.status == 3
    assert "NO_OVERLAP" in answer.err


def test_an_existing_file_is_left_alone(run, files, sky):
    before = sky.listing(files)
    target = files / "second.fits"
    answer = run("align", files / "reference.fits", files / "image.fits", "-o", target)
    assert answer.status == 1
    assert answer.err == (
        f"astroreg: error: {target} exists; give another name, or --overwrite to replace it\n"
    )
    assert sky.listing(files) == before


def test_overwrite_of_the_image_itself(run, files, sky):
    image = files / "image.fits"
    answer = run("align", files / "reference.fits", image, "-o", image, "--overwrite")
    assert answer.status == 0
    assert sky.left_over(image) < TOLERANCE


def test_the_reference_is_never_overwritten(run, files, sky):
    before = sky.listing(files)
    reference = files / "reference.fits"
    answer = run("align", reference, files / "image.fits", "-o", reference, "--overwrite")
    assert answer.status == 1
    assert "is the reference; it is not overwritten" in answer.err
    assert sky.listing(files) == before


def test_dry_run_writes_nothing(run, files, sky):
    before = sky.listing(files)
    answer = run(
        "align", files / "reference.fits", files / "image.fits", "-o", files / "out.fits",
        "--table", files / "t.ecsv", "--head", files / "out.head", "--dry-run",
    )  # fmt: skip
    assert answer.status == 0
    assert "dx = 3.4" in answer.out
    assert sky.listing(files) == before


def test_several_images(run, files, sky):
    folder, table = files / "new" / "corrected", files / "shifts.ecsv"
    answer = run(
        "align", files / "reference.fits", files / "image.fits", files / "second.fits", files / "turned.fits",
        "--out-dir", folder, "--table", table,
    )  # fmt: skip
    assert answer.status == 0
    assert sorted(path.name for path in folder.iterdir()) == ["image.fits", "second.fits", "turned.fits"]
    assert sky.left_over(folder / "second.fits") < TOLERANCE
    rows = QTable.read(table)
    assert np.allclose(rows["dx"].to_value(u.pixel), sky.shift[0], atol=TOLERANCE)
    assert list(rows["output"]) == [str(path) for path in sorted(folder.iterdir())]
    # Jy per adu and adu per adu do not convert: the numbers are plain, the units have a column
    assert list(rows["scale_unit"]) == ["Jy / adu", "Jy / adu", "1"]


def test_the_worst_of_several_counts_and_the_others_are_written(run, files):
    answer = run(
        "align", files / "reference.fits", files / "missing.fits", files / "image.fits", files / "noise.fits",
        "--out-dir", files / "c", "--suffix", "_new", "--json",
    )  # fmt: skip
    assert answer.status == 1
    missing, image, noise = strict(answer.out)["results"]
    assert missing["error"] == f"there is no file {files / 'missing.fits'}"
    assert missing["output"] is None
    assert image["output"] == str(files / "c" / "image_new.fits")
    assert noise["trusted"] is False
    assert [path.name for path in (files / "c").iterdir()] == ["image_new.fits"]


def test_two_images_of_one_name(run, files):
    (files / "night").mkdir()
    answer = run(
        "align", files / "reference.fits", files / "image.fits", files / "night" / "image.fits",
        "--out-dir", files / "c",
    )  # fmt: skip
    assert answer.status == 1
    assert "two images would be written to" in answer.err
    assert not (files / "c").exists()


@pytest.mark.parametrize("name", ["a b.fits", "-x.fits", "größe ✶.fits", "%s{0}$HOME.fits", "a\nb.fits"])
def test_file_names(run, files, monkeypatch, name, sky):
    monkeypatch.chdir(files)
    (files / "image.fits").rename(files / name)
    out = "-out.fits" if name.startswith("-") else f"new {name}"
    answer = run("align", f"--output={out}", "--", "reference.fits", name)
    assert answer.status == 0
    assert sky.left_over(files / out) < TOLERANCE
    assert "written: " + out.replace("\n", " ") in answer.out


def test_a_head_file_holds_the_corrected_coordinates(run, files, sky):
    head = files / "image.head"
    answer = run("align", files / "reference.fits", files / "image.fits", "--head", head)
    assert answer.status == 0
    wcs = WCS(fits.Header.fromstring(head.read_text(encoding="utf-8").split("END  ")[0], sep="\n"))
    x, y = sky.true_wcs().world_to_pixel(wcs.pixel_to_world(10, 70))
    assert np.hypot(x - 10, y - 70) < TOLERANCE


def test_a_head_file_has_a_part_for_each_chip_and_none_for_its_error_plane(run, files):
    with fits.open(files / "image.fits") as hdus:
        data, header = np.where(hdus["MASK"].data, np.nan, hdus[0].data), hdus[0].header
        chips = [fits.ImageHDU(data, header, name="SCI", ver=version) for version in (1, 2)]
        error = fits.ImageHDU(np.full(data.shape, 0.4), header, name="ERR", ver=1)
        fits.HDUList([fits.PrimaryHDU(), chips[0], error, chips[1]]).writeto(files / "chips.fits")
    answer = run("align", files / "reference.fits", files / "chips.fits", "--head", files / "chips.head")
    assert answer.status == 0
    assert (files / "chips.head").read_text(encoding="utf-8").count("\nEND ") == 2


def test_errors_that_are_not_what_was_promised_are_told(run, files):
    with fits.open(files / "image.fits") as hdus:
        hdus["UNCERT"].data /= 3
        hdus.writeto(files / "boastful.fits")
    answer = run("align", files / "reference.fits", files / "boastful.fits", "--dry-run")
    assert answer.status == 0
    assert answer.err.startswith(f"astroreg: warning: {files / 'boastful.fits'}: BAD_CHI2: The residuals")
    assert answer.err.count("\n") == 1


def test_no_file_is_left_if_one_cannot_be_made(run, files, sky):
    before = sky.listing(files)
    answer = run(
        "align", files / "reference.fits", files / "image.fits", "-o", files / "o.fits",
        "--head", files / "no folder" / "o.head",
    )  # fmt: skip
    assert answer.status == 1
    assert "no folder does not exist" in answer.err
    assert sky.listing(files) == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--kind", "detector"], "kind detector"),
        (["--kind", "pointing"], "kind pointing, roll zero"),
        (["--roll", "keep-pa"], "kind pointing, roll keep-pa"),
        (["--roll=-0.001deg"], "kind pointing, roll -0.001 deg"),
    ],
)
def test_kind_and_roll(run, files, options, words, sky):
    answer = run("align", files / "reference.fits", files / "image.fits", "-o", files / "o.fits", *options)
    assert answer.status == 0
    assert words in history(files / "o.fits")
    assert sky.left_over(files / "o.fits") < TOLERANCE


def test_systematic_error_of_the_reference(run, files):
    out = files / "o.fits"
    run("align", files / "reference.fits", files / "image.fits", "-o", out, "--systematic", "0.36arcsec")
    assert fits.getheader(out)["CSYER1"] == pytest.approx(1e-4)  # in degrees, the unit of the axis


def test_units_of_max_shift(run, files):
    # 6 arcsec = 6 pixels reach the shift of 4.1, 3 arcsec do not
    wide, narrow = (
        run("align", files / "reference.fits", files / "image.fits", "--dry-run", "--max-shift", length)
        for length in ("6arcsec", "0.05'")
    )
    assert wide.status == 0
    assert narrow.status == 3


def test_hdu_choice(run, files, sky):
    with fits.open(files / "image.fits") as hdus:
        data = np.where(hdus["MASK"].data, np.nan, hdus[0].data)
        chip = fits.ImageHDU(data, hdus[0].header, name="SCI")
        chip.ver = 2
        wrong = fits.ImageHDU(np.ones((80, 84)), sky.moved(sky.true_wcs(), [0, 0]).to_header(), name="SCI")
        fits.HDUList([fits.PrimaryHDU(), wrong, chip]).writeto(files / "chips.fits")
    chips = files / "chips.fits"
    answer = run("align", files / "reference.fits", chips, "-o", files / "o.fits", "--image-hdu", "SCI,2")
    assert answer.status == 0
    with fits.open(files / "o.fits") as hdus:
        before = WCS(fits.getheader(files / "chips.fits", 1)).pixel_to_world(40, 40)
        other = WCS(hdus[1].header).pixel_to_world(40, 40)
    # the rotation of the sky is applied to the other chip, too
    assert before.separation(other).to_value(u.arcsec) == pytest.approx(np.hypot(*sky.shift), abs=TOLERANCE)


@pytest.mark.parametrize(("name", "status"), [("image.fits", 0), ("noise.fits", 3)])
def test_report(run, files, name, status):
    page = files / "a page.html"
    answer = run("align", files / "reference.fits", files / name, "-o", files / "o.fits", "--report", page)
    assert answer.status == status
    text = page.read_text(encoding="utf-8")
    assert "astroreg align " in text  # how to make it again
    assert ("NO_SIGNAL" in text) == (status == 3)
    assert ("CRVAL1" in text) == (status == 0)  # what changed in the header


def test_reports_of_several_images_in_a_folder(run, files):
    images = [files / "image.fits", files / "noise.fits", files / "missing.fits"]
    pages = files / "made" / "pages"
    answer = run("align", files / "reference.fits", *images, "--report", pages)
    assert answer.status == 1
    assert answer.out.endswith("1 of 3 images have an answer that can be trusted; 0 written\n")
    assert sorted(path.name for path in pages.iterdir()) == ["image.html", "noise.html"]
    again = run("align", files / "reference.fits", *images[:2], "--report", pages)
    assert again.status == 1 and "image.html exists" in again.err


def test_reports_of_one_name(run, files):
    (files / "other").mkdir()
    (files / "other" / "image.fits").write_bytes((files / "image.fits").read_bytes())
    images = [files / "image.fits", files / "other" / "image.fits"]
    answer = run("align", files / "reference.fits", *images, "--report", files / "pages")
    assert answer.status == 1 and "two images would be reported in" in answer.err


def test_beams_that_no_header_tells(run, files):
    arguments = ["align", files / "reference.fits", files / "turned.fits", "--dry-run"]
    beams = ["--reference-beam", "3arcsec", "--image-beam", "4.5arcsec"]
    plain, told = (run(*arguments, *more) for more in ([], beams))
    assert plain.status == 0
    # The two have the same beam of 3 arcsec: a reference smoothed to 4.5 misses what the image resolves.
    assert "BAD_CHI2" in told.err and "BAD_CHI2" not in plain.err
    alone = run(*arguments, "--reference-beam", "3arcsec")
    assert alone.status == 1 and "image_beam" in alone.err


def test_empirical_errors(run, files):
    answer = run("align", files / "reference.fits", files / "image.fits", "--dry-run", "--empirical")
    assert "(chi2_shift, empirical uncertainty)" in answer.out


def test_verbose_tells_the_passes_and_quiet_nothing(run, files):
    arguments = ["align", files / "reference.fits", files / "turned.fits", "--dry-run"]
    assert "pass 1: dx = " in run(*arguments, "-v").err
    assert run(*arguments, "-q").err == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["r", "i"], "where to? give -o OUT or --out-dir DIR"),
        (["r", "i", "j", "-o", "o"], "-o is for one image"),
        (["r", "i", "j", "--head", "h"], "--head is for one image"),
        (["r", "i", "j", "--out-dir", "d", "--report", "p.html"], "for several name a folder"),
        (["r", "i", "-o", "o", "--out-dir", "d"], "not allowed with"),
        (["r", "-o", "o"], "required: IMAGE"),
        (["r", "i", "-o", "o", "--max-shift", "5kg"], "'5kg' is no length > 0; write it as 5arcsec"),
        (["r", "i", "-o", "o", "--max-shift=-3"], "'-3' is no length > 0"),
        (["r", "i", "-o", "o", "--min-overlap", "2"], "'2' is no fraction"),
        (["r", "i", "-o", "o", "--method", "magic"], "invalid choice: 'magic'"),
        (["r", "i", "-o", "o", "--roll", "left"], "'left' is no roll"),
        (["r", "i", "-o", "o", "--systematic", "3pix"], "'3pix' is no angle > 0"),
        (["r", "i", "-o", "o", "--iterations", "0"], "'0' is no whole number > 0"),
        (["r", "i", "-o", "o", "--over"], "unrecognized arguments: --over"),
    ],
)
def test_wrong_usage(usage, arguments, words):
    assert words in usage("align", *arguments)


def test_the_corrected_wcs_has_the_type_of_the_old_one(run, files, sky):
    run("align", files / "reference.fits", files / "image.fits", "-o", files / "o.fits")
    assert list(sky.wcs_of(files / "o.fits").wcs.ctype) == list(sky.wcs_of(files / "image.fits").wcs.ctype)
