"""The script that measures times and memory, and the file that docs/speed.rst is made of."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "docs" / "scripts"
PARTS = {"time", "memory", "growth", "series", "at once", "shifted", "turned"}


@pytest.fixture(scope="module")
def script():
    """Function that imports a module of the scripts."""
    before = list(sys.path)
    sys.path.insert(0, str(SCRIPTS))
    try:
        yield importlib.import_module
    finally:
        sys.path[:] = before


@pytest.fixture(scope="module")
def speed(script):
    return script("speed")


@pytest.fixture(scope="module")
def page(script):
    pytest.importorskip("sphinx")
    return script("speed_page")


def options(**changed):
    chosen = {"sizes": [48], "dtypes": ["f8"], "scenes": ["uniform"], "methods": None, "rounds": 1}
    return SimpleNamespace(**chosen | changed)


def test_times_are_ratios_of_one_run(speed, monkeypatch):
    seconds = iter(range(1, 1000))
    monkeypatch.setattr(speed, "_seconds", lambda call: float(next(seconds)))
    monkeypatch.setattr(speed, "contestants", lambda *a: dict.fromkeys(("floor", speed.PLAIN, "mine")))
    rows = {row["method"]: row for row in speed.times(options(rounds=3))}
    # One call each beforehand, then rounds: the floor in the 4th, 7th and 10th second, the others after it.
    assert rows["floor"]["milliseconds"] == 7000
    assert rows["mine"]["floors"] == pytest.approx(9 / 7, rel=1e-3)
    assert rows["mine"]["plain"] == pytest.approx(9 / 8, rel=1e-3)


def test_what_raises_is_left_out(speed, capsys):
    def fails():
        raise RuntimeError("no answer")

    spent = speed.timed({"good": list, "bad": fails}, 2)
    assert list(spent) == ["good"]
    assert "bad: RuntimeError: no answer" in capsys.readouterr().err


def test_all_parts_run_on_small_images(speed):
    timed = speed.times(options(scenes=list(speed.SCENES), dtypes=["f8", "f4"], methods=["chi2_shift"]))
    assert {(row["scene"], row["dtype"]) for row in timed} == {
        (scene, dtype) for scene in speed.SCENES for dtype in ("f8", "f4")
    }
    for part in (timed, speed.growth(options())):
        assert {"floor", "chi2_shift"} <= {row["method"] for row in part}
        assert all(row["floors"] == 1 for row in part if row["method"] == "floor")
    series = speed.series(options())
    assert [(row["method"], row["part"]) for row in series] == [
        (name, part) for name in speed.OURS for part in ("series", "at once")
    ]
    assert all(row["gain"] > 0 for row in series)
    grids = speed.grids(options())
    assert [row["part"] for row in grids] == 5 * ["shifted"] + 5 * ["turned"]
    assert [row["reproject"] for row in grids if row["method"] == "reproject_interp"] == [1, 1]
    assert all(row["reproject"] > 0 for row in grids)


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="the peak of a process is told by Linux"
)
def test_memory_is_that_above_the_images():
    # 16 bytes of two real transforms and 8 of what comes back, a pixel; one of the two may be held twice.
    command = [sys.executable, str(SCRIPTS / "speed.py"), "--alone", "floor", "--sizes", "1024"]
    command += ["--dtypes", "f8", "--scenes", "uniform"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    assert 16 <= json.loads(run.stdout) / 1024**2 < 50


def test_rows_replace_their_like(speed, tmp_path):
    path = tmp_path / "speed.ecsv"
    row = speed._row
    speed.write(
        [row("time", "uniform", n, "f8", "floor", floors=1, milliseconds=n) for n in (256, 512)], path
    )
    speed.write([row("memory", "uniform", 256, "f8", "floor", bytes=17)], path)
    speed.write([row("time", "uniform", 512, "f8", "floor", floors=1, milliseconds=7)], path)
    table = Table.read(path)
    assert len(table) == 3
    times = table[table["part"] == "time"]
    assert times["size"].tolist() == [256, 512] and times["milliseconds"].tolist() == [256, 7]


def test_the_file_of_the_page_is_complete(speed):
    table = Table.read(speed.FILE)
    assert {"astroreg", "numpy", "peers", "cores", "workers", "series"} <= set(table.meta)
    assert set(table["part"]) == PARTS
    for part in PARTS - {"growth"}:
        assert set(speed.OURS) <= set(table["method"][table["part"] == part])
    for row in table[table["part"] == "time"]:
        assert row["floors"] > 0 and row["milliseconds"] > 0
        assert row["floors"] == 1 or row["method"] != speed.FLOOR


def test_the_tables_hold_what_the_file_holds(page):
    table = Table.read(page.FILE)
    (plain,) = [
        r
        for r in table
        if (r["part"], r["scene"], r["size"], r["dtype"], r["method"])
        == ("time", "uniform", 256, "f8", "chi2_shift")
    ]
    lines = page.Times.lines(SimpleNamespace(arguments=["uniform", "f8"]), table)
    start = lines.index("   * - ``chi2_shift``")
    assert lines[start + 1].startswith(f"     - {plain['floors']:.1f}")
    for directive in (page.About, page.Scenes, page.Costs, page.Memory, page.Growth, page.Series, page.Grids):
        assert directive.lines(SimpleNamespace(arguments=[]), table)


def test_a_part_that_is_missing_is_said(page):
    table = Table.read(page.FILE)
    left = table[table["part"] == "growth"]
    for directive in (page.Costs, page.Memory, page.Series, page.Grids):
        assert directive.lines(SimpleNamespace(arguments=[]), left) == ["*Not measured yet.*"]
    assert page.Times.lines(SimpleNamespace(arguments=["masks", "f4"]), left) == ["*Not measured yet.*"]


def test_the_exponent_is_that_of_the_number_of_pixels(page):
    sizes = np.array([256, 512, 1024])
    assert page.slope(sizes, 3.0 * sizes**2.2) == pytest.approx(1.1)
    assert np.isnan(page.slope(sizes[:1], [1.0]))
