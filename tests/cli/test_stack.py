"""``astroreg stack``: what is written, printed and refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable

# Injected is a shift of 4.1 pixels; the noise allows about 0.005 pixel, 0.05 is ten sigma.
TOLERANCE = 0.05


@pytest.fixture
def three(files):
    return [files / name for name in ("reference.fits", "image.fits", "second.fits")]


def test_corrected_files_have_the_coordinates_of_the_first(run, three, files, sky):
    out = files / "out"
    answer = run("stack", *three, "--out-dir", out)
    assert answer.status == 0
    assert answer.err == ""
    assert sky.left_over(out / "image.fits") < TOLERANCE
    assert sky.left_over(out / "second.fits") < TOLERANCE
    assert (out / "reference.fits").read_bytes() == three[0].read_bytes()
    lines = answer.out.splitlines()
    assert lines[0].split() == ["image", "lon", "(arcsec)", "lat", "(arcsec)", "pairs", "flags"]
    assert lines[2].startswith("image.fits ")
    assert f"3 of 3 images corrected, relative to {three[0]}" in lines
    assert lines[-1] == f"written: 3 files into {out}"
    header = fits.getheader(out / "image.fits")
    text = " ".join(header["HISTORY"])
    assert "by align_stack" in text


def test_joint(run, three, files, sky):
    out = files / "out"
    answer = run("stack", *three, "--out-dir", out, "--joint", "--json", "--workers", "1")
    assert answer.status == 0
    found = json.loads(answer.out)
    assert found["command"] == "stack"
    assert found["reference"] == "joint"
    assert found["pairs_measured"] == found["pairs_used"] == 3
    assert found["dof"] == 2
    offsets = [[one["sky_correction"][axis] for axis in ("lon", "lat")] for one in found["results"]]
    np.testing.assert_allclose(np.mean(offsets, axis=0), 0, atol=1e-3)
    # Two of three are off alike, so that the mean takes a third of that away.
    assert np.hypot(*offsets[1]) == pytest.approx(np.hypot(*sky.shift) / 3, abs=TOLERANCE)
    assert [one["output"] for one in found["results"]] == [str(out / path.name) for path in three]
    tables = {name: QTable.read(out / f"{name}.ecsv") for name in ("shifts", "pairs", "closures")}
    assert {name: len(table) for name, table in tables.items()} == {"shifts": 3, "pairs": 3, "closures": 1}


def test_picture(run, three, files):
    pytest.importorskip("matplotlib")
    run("stack", *three[:2], "--out-dir", files / "out", "--dry-run")
    assert (files / "out" / "shifts.png").read_bytes().startswith(b"\x89PNG")


def test_a_flagged_image_is_told_and_not_written(run, three, files):
    out = files / "out"
    answer = run("stack", *three[:2], files / "elsewhere.fits", "--out-dir", out)
    assert answer.status == 3
    assert f"astroreg: error: {files / 'elsewhere.fits'}: UNCONNECTED: " in answer.err
    assert (out / "image.fits").exists()
    assert not (out / "elsewhere.fits").exists()
    assert "UNCONNECTED" in answer.out


def test_nothing_corrected_is_a_failure(run, files):
    answer = run(
        "stack", files / "image.fits", files / "elsewhere.fits", "--out-dir", files / "out", "--joint"
    )
    assert answer.status == 1


def test_reference_from_outside(run, three, files, sky):
    out = files / "out"
    answer = run("stack", *three[1:], "--out-dir", out, "--reference", three[0])
    assert answer.status == 0
    assert sky.left_over(out / "second.fits") < TOLERANCE
    assert not (out / "reference.fits").exists()


def test_group_by_a_keyword(run, three, files):
    for path in three[1:]:
        fits.setval(path, "EXPID", value=7)
    answer = run("stack", *three, "--out-dir", files / "out", "--group-by", "EXPID", "--json")
    assert answer.status == 0
    found = json.loads(answer.out)["results"]
    assert [one["group"] for one in found] == [0, 1, 1]
    assert found[1]["sky_correction"]["rotation_vector"] == found[2]["sky_correction"]["rotation_vector"]


def test_resume(run, three, files):
    out = files / "out"
    first = run("stack", *three, "--out-dir", out, "--joint", "--workers", "1")
    pairs = out / "pairs.ecsv"
    written = (out / "shifts.ecsv").read_text()
    pairs.write_text("".join(pairs.read_text().splitlines(keepends=True)[:-1]))
    again = run("stack", *three, "--out-dir", out, "--joint", "--workers", "1", "--resume")
    assert (first.status, again.status) == (0, 0)
    assert (out / "shifts.ecsv").read_text() == written
    assert len(QTable.read(pairs)) == 3


def test_nothing_is_overwritten(run, three, files, sky):
    run("stack", *three[:2], "--out-dir", files / "out", "--dry-run")
    before = sky.listing(files / "out")
    answer = run("stack", *three[:2], "--out-dir", files / "out")
    assert answer.status == 1
    assert "exists; give another name, or --overwrite" in answer.err
    assert sky.listing(files / "out") == before
    assert run("stack", *three[:2], "--out-dir", files / "out", "--overwrite").status == 0


def test_the_exposures_are_never_overwritten(usage, three, files, sky):
    before = sky.listing(files)
    assert "is where the exposures are" in usage("stack", *three, "--out-dir", files, "--overwrite")
    assert sky.listing(files) == before


def test_wrong_usage(usage, three):
    assert "--out-dir" in usage("stack", *three)
    assert "not allowed with" in usage("stack", *three, "--out-dir", "x", "--joint", "--reference", "y.fits")
    assert "not allowed with" in usage(
        "stack", *three, "--out-dir", "x", "--workers", "2", "--scheduler", "y"
    )


def test_scheduler_needs_dask(run, three, files, monkeypatch):
    monkeypatch.setattr("astroreg.cli.stack.find_spec", lambda name: None)
    answer = run("stack", *three, "--out-dir", files / "out", "--scheduler", "tcp://nowhere:1")
    assert answer.status == 1
    assert "pip install 'astroreg[dask]'" in answer.err
