"""The script that measures the tables of docs/accuracy.rst, and the file that the page is made of."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "docs" / "scripts"
NAMES = ("accuracy_scenes", "accuracy")


@pytest.fixture(scope="module")
def accuracy():
    sys.path.insert(0, str(SCRIPTS))
    try:
        return importlib.import_module("accuracy")
    finally:
        sys.path.remove(str(SCRIPTS))


@pytest.fixture
def quick(accuracy, monkeypatch):
    """One fast method, whose every call is counted."""
    calls = []

    def method(reference, image, **options):
        calls.append(1)
        return accuracy.chi2_shift(reference, image, max_shift=20, **options)

    monkeypatch.setattr(accuracy, "METHODS", {"quick": method})
    return calls


def test_an_interrupted_run_goes_on_where_it_stopped(accuracy, quick, tmp_path):
    path = tmp_path / "table.ecsv"
    accuracy.run(["demonstration"], 3, path)
    assert len(quick) == 3
    accuracy.run(["demonstration", "shallow"], 3, path)
    assert len(quick) == 6  # the shallow one alone
    accuracy.run(["demonstration"], 2, path)
    assert len(quick) == 6
    accuracy.run(["demonstration"], 4, path)
    accuracy.run(["shallow"], 2, path, fresh=True)
    assert len(quick) == 12
    tables = accuracy.read(path)
    assert {name: set(table["n_draws"]) for name, table in tables.items()} == {
        "demonstration": {4},
        "shallow": {2},
    }


def test_figures_are_those_of_the_draws(accuracy, monkeypatch):
    # The method is off by (+0.3, -0.1) in every draw and quotes 0.2: rms and bias are these numbers.
    from astroreg import ShiftResult

    truth = accuracy.SCENES["demonstration"].options["shift"]

    def method(reference, image, **options):
        return ShiftResult(shift=np.add(truth, (0.3, -0.1)), covariance=0.04 * np.eye(2))

    monkeypatch.setattr(accuracy, "METHODS", {"constant": method})
    x, y = accuracy.measure("demonstration", 4)
    # Four digits are written.
    assert [x["bias"], y["bias"]] == pytest.approx([1.0, -1.0], rel=1e-3)
    assert [x["quoted"], y["quoted"]] == pytest.approx([0.2 / 0.3, 2.0], rel=1e-3)
    assert [x["inside"], y["inside"]] == [0.0, 1.0]
    assert x["efficiency"] * x["limit"] == pytest.approx(0.3, rel=1e-3)
    assert (x["gross"], x["flagged"], x["n_draws"]) == (0, 0, 4)


def test_noise_of_a_scene_depends_on_its_name_alone(accuracy, quick):
    first, second = accuracy.measure("demonstration", 2), accuracy.measure("demonstration", 2)
    kept = [name for name in first.colnames if name != "milliseconds"]
    assert all((first[name] == second[name]).all() for name in kept)


def test_the_file_of_the_page_is_complete(accuracy):
    tables = accuracy.read(accuracy.FILE)
    assert list(tables) == list(accuracy.SCENES)
    for table in tables.values():
        assert set(table["method"]) == set(accuracy.METHODS)
        assert len(table) == 2 * len(accuracy.METHODS)
