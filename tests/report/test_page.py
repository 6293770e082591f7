"""What the page says, and that nothing of it comes from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.wcs.wcsapi import HighLevelWCSWrapper, SlicedLowLevelWCS

import astroreg
from astroreg import align
from astroreg.files import correct_file, restore_file
from astroreg.flags import ShiftFlag
from astroreg.report import write_report
from astroreg.results import RivalPeak

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def page(made, read, tmp_path):
    """The page of a result, read."""

    def write(found=None, **options):
        path = write_report(made.result() if found is None else found, tmp_path / "page.html", **options)
        seen = read(path)
        assert seen.parents_closed()
        return seen

    return write


def with_images(made, **cards):
    reference, image = made.scene(**cards)
    return {"reference": reference, "image": image}


# ---- what it says -----------------------------------------------------------------------------


def test_a_trusted_answer(page, made):
    seen = page(**with_images(made, OBJECT="Orion KL"))
    text = seen.text
    assert seen.of("title")
    assert "Trusted" in text
    assert "Every check was passed" in text
    # the roots of the variances 0.04 and 0.09
    assert "3.00 ± 0.20 pixel" in text
    assert "-2.00 ± 0.30 pixel" in text
    assert "2.000 ± 0.010 Jy / adu" in text
    assert "5.000 ± 0.020 Jy" in text
    assert "reduced χ² 0.9925" in text
    assert "Orion KL" in text
    # the correction: W(p - d) - W(p) with CDELT1 = -0.36 arcsec: lon +3 * 0.36, lat +2 * 0.36
    assert "1.080 ± 0.072 arcsec" in text
    assert "0.72 ± 0.11 arcsec" in text
    assert len(seen.of("img")) == 5


def test_flags_stand_with_their_sentences(page, made):
    flags = ShiftFlag.RIVAL_PEAK | ShiftFlag.NOISE_ESTIMATED
    rival = RivalPeak([10.0, 4.0] * u.pixel, 3.2)
    text = page(made.result(flags=flags, rival=rival), **with_images(made)).text
    assert "Not to be applied without a look" in text
    for flag in flags:
        assert flag.name in text
        assert flag.sentence in text
    assert text.index("RIVAL_PEAK") < text.index("NOISE_ESTIMATED"), "the serious one comes first"
    assert "10.00, 4.00 pixel" in text
    assert "Nothing was changed, so there is nothing to undo." in text


def test_an_answer_that_is_none(page, made):
    seen = page(made.undetermined(), **with_images(made))
    assert "No shift was determined" in seen.text
    assert ShiftFlag.NO_SIGNAL.sentence in seen.text
    assert "not determined" in seen.text
    assert "nan" not in seen.text.lower().replace("nanometer", "")
    pictures = [attributes["alt"].split(":")[0] for attributes in seen.of("img")]
    assert pictures == ["As given", "Correlation of the images over the shift, with the peak and its rival"]


def test_the_correlation_is_drawn_where_it_tells_more(page, made):
    count = {}
    doubtful = {"flags": ShiftFlag.RIVAL_PEAK, "rival": RivalPeak([10.0, 4.0] * u.pixel, 3.2)}
    for name, changes in {"trusted": {}, "doubtful": doubtful, "no map": {"delta_chi2": None}}.items():
        seen = page(made.result(**changes), overwrite=True, **with_images(made))
        count[name] = sum("Correlation of the images" in picture["alt"] for picture in seen.of("img"))
    assert count == {"trusted": 0, "doubtful": 1, "no map": 1}


def test_a_shift_of_zero_is_no_offset(page, made):
    assert "agrees with zero: it is 0.5 times its error" in page(made.result(shift=[0.1, 0])).text


def test_without_images_the_page_says_how_to_give_them(page):
    seen = page()
    assert "give them to `report` as `reference` and `image`" in seen.text
    assert len(seen.of("img")) == 1, "Delta chi-squared needs no image"


def test_images_without_coordinates(page, made):
    reference, image = (frame.data for frame in made.scene())
    seen = page(made.result(wcs=None), reference=reference, image=image)
    assert "no sky coordinates to correct" in seen.text
    assert len(seen.of("img")) == 5


def test_images_without_a_common_pixel(page, made):
    seen = page(made.result(shift=[500, 0], wcs=None), **with_images(made))
    assert "no good pixel in common" in seen.text


def test_header_changes_of_a_header(page, made):
    text = page(**with_images(made)).text
    assert "Nothing was written to a file" in text
    assert "CRVAL1" in text
    assert "sky_correction.inverse()" in text


def test_coordinates_that_are_no_header(page, made):
    """A WCS of a kind that has no FITS keywords: here one that is wrapped."""
    cut = SlicedLowLevelWCS(made.result().wcs, (slice(0, 40), slice(0, 50)))
    text = page(made.result(wcs=HighLevelWCSWrapper(cut))).text
    assert "`result.corrected_wcs()` returns the corrected ones" in text


def test_the_call_that_is_known(page, made):
    assert "astroreg.chi2_shift('a.fits', image, uncertainty='attached')" in (
        page(made.result(reference_label="a.fits")).text
    )
    assert "astroreg align a b --x" in page(call="astroreg align a b --x", overwrite=True).text


def test_versions(page):
    text = page().text
    for name in ("Python", "numpy", "astropy", "scipy"):
        assert name in text


def test_corrected_file_and_its_undo(page, made, read, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, image = made.scene(OBJECT="Orion")
    image.write("in put.fits")
    found = made.result()
    correct_file("in put.fits", found.sky_correction, "-out put.fits", history=found.history())
    text = page(found, image="in put.fits", corrected="-out put.fits").text
    before, after = fits.getheader("in put.fits"), fits.getheader("-out put.fits")
    assert f"CRVAL1 {before['CRVAL1']!r} {after['CRVAL1']!r}" in text
    assert "measured dx = 3.00 +- 0.20 pixel" in text
    assert "astroreg undo './-out put.fits' -o restored.fits" in text
    restore_file("-out put.fits", "restored.fits")
    assert fits.getheader("restored.fits")["CRVAL1"] == before["CRVAL1"]


def test_an_alignment_knows_its_images(made, read, tmp_path):
    reference, image = made.scene()
    rng = np.random.default_rng(1)
    for one in (reference, image):
        one.data += rng.normal(0, 0.1, made.shape)
    found = align(reference, image)
    assert found.ok
    seen = read(found.report(tmp_path / "page.html"))
    assert len(seen.of("img")) == 5
    assert "Passes" in seen.text
    assert "method=astroreg.chi2_shift, kind='pointing', roll='zero'" in seen.text


def test_inputs_stay_as_they_are(page, made):
    images = with_images(made, OBJECT="Orion")
    before = {name: (one.data.copy(), one.wcs.to_header(), one.meta.copy()) for name, one in images.items()}
    page(**images)
    for name, one in images.items():
        data, wcs, meta = before[name]
        np.testing.assert_array_equal(one.data, data)
        assert one.wcs.to_header().tostring() == wcs.tostring()
        assert list(one.meta.items()) == list(meta.items())


# ---- one file, nothing from elsewhere ---------------------------------------------------------


def test_nothing_comes_from_elsewhere(page, made):
    seen = page(**with_images(made))
    for tag, attributes in seen.elements:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/png;base64,", "#")), (tag, name, value[:80])
        assert not [name for name in attributes if name.startswith("on")], "handlers of events are scripts"
    assert {tag for tag, _ in seen.elements} & {"link", "iframe", "object", "embed", "base", "form"} == set()
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|https?://", seen.source)


def test_policy_forbids_all_but_its_own(page):
    policy = next(a["content"] for a in page().of("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "http" not in policy


def test_pictures_have_words_and_the_page_a_viewport(page, made):
    seen = page(**with_images(made))
    assert all(len(attributes["alt"]) > 10 for attributes in seen.of("img"))
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in seen.of("meta")
    assert seen.of("html") == [{"lang": "en"}]
    targets = {attributes.get("id") for _, attributes in seen.elements}
    assert all(link["href"][1:] in targets for link in seen.of("a"))


def test_the_file_is_written_once(made, tmp_path):
    found, path = made.result(), tmp_path / "page.html"
    assert found.report(path) == path
    first = path.read_bytes()
    with pytest.raises(FileExistsError, match="overwrite"):
        found.report(path)
    assert path.read_bytes() == first
    found.report(path, overwrite=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"], "no temporary file is left"


def test_only_results_are_reported(tmp_path):
    with pytest.raises(TypeError, match="`result` must be a ShiftResult, got int"):
        write_report(3, tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_there_are_words(tmp_path):
    program = """
        import sys
        sys.modules["matplotlib"] = None
        import numpy as np
        from astroreg.results import ShiftResult
        found = ShiftResult(shift=[1, 2], covariance=np.eye(2))
        found.report("page.html", reference=np.eye(9), image=np.eye(9))
        assert "matplotlib" in open("page.html").read()
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr


def test_importing_the_report_does_not_import_matplotlib():
    program = "import sys, astroreg.report; print('matplotlib' in sys.modules)"
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=True)
    assert run.stdout.strip() == "False"


def test_report_is_a_method_of_both_results():
    assert astroreg.Alignment.report is astroreg.ShiftResult.report
