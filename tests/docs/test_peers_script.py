"""The script that measures other packages, and the file that the tables are made of; needs none of them."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u

from astroreg.simulation import simulate_pair

SCRIPTS = Path(__file__).resolve().parents[2] / "docs" / "scripts"


@pytest.fixture(scope="module")
def peers():
    sys.path.insert(0, str(SCRIPTS))
    try:
        return importlib.import_module("peers")
    finally:
        sys.path.remove(str(SCRIPTS))


@pytest.fixture
def pair():
    return simulate_pair((40, 50), shift=(2, -1), bad_fraction=0.05, rng=1)


def test_a_peer_gets_filled_arrays(peers, pair):
    seen = []

    def measure(data, variance, good):
        seen.extend([data, variance, good])
        return (2.5, -1.0), (0.1, 0.2)

    result = peers.peer(measure)(pair.reference, pair.image, boundary="overlap")
    data, variance, good = seen
    for plane, noise, fine, frame in zip(data, variance, good, (pair.reference, pair.image), strict=True):
        assert (fine == ~frame.mask).all() and not fine.all()
        assert (plane[fine] == frame.data[fine]).all()
        assert (plane[~fine] == np.median(frame.data[fine])).all()
        # S/N 10 of a sky with an rms of 1
        assert noise[fine] == pytest.approx(0.01)
    assert result.shift.to_value(u.pixel).tolist() == [2.5, -1.0]
    assert result.shift_error.value == pytest.approx([0.1, 0.2])


def test_a_peer_that_fails_has_missed(peers, pair):
    def measure(data, variance, good):
        raise RuntimeError("no answer")

    result = peers.peer(measure)(pair.reference, pair.image)
    assert not result.determined and np.isnan(result.shift_error).all()


def test_the_file_of_the_page_is_complete(peers):
    accuracy = sys.modules["accuracy"]
    tables = accuracy.read(peers.FILE)
    assert list(tables) == list(accuracy.SCENES)
    for table in tables.values():
        assert set(table["method"]) == set(peers.METHODS)
    assert all(name in table.meta["peers"] for name in peers.PACKAGES)
