"""A registration that cannot fit into memory is refused before anything is allocated, with the figure."""

import numpy as np
import pytest

import astroreg.memory
from astroreg import chi2_shift
from astroreg.simulation import simulate_pair


def test_refused_with_the_figure(monkeypatch):
    pair = simulate_pair((96, 96), rng=3)
    monkeypatch.setattr(astroreg.memory, "memory_limit", lambda: 1e6)
    with pytest.raises(
        ValueError, match=r"registering images of 96 x 96 pixels would need .* GB, .*cut the same part"
    ):
        chi2_shift(pair.reference, pair.image)


def test_the_need_grows_with_the_overlap(monkeypatch):
    needs = []
    monkeypatch.setattr("astroreg.prepared.require_memory", lambda needed, what, mend: needs.append(needed))
    for side in (96, 192):
        pair = simulate_pair((side, side), rng=3)
        chi2_shift(np.asarray(pair.reference.data), np.asarray(pair.image.data))
    # The margins count for more on the smaller canvas: fewer than four times the pixels, more than two.
    assert 2 < needs[1] / needs[0] < 4
