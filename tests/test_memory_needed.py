"""A registration that cannot fit into memory is refused before anything is allocated, with the figure."""

import numpy as np
import pytest

import astroreg.memory
from astroreg import AstroregWarning, chi2_shift, cross_correlation_shift, register_images
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


@pytest.mark.parametrize("method", [chi2_shift, register_images, cross_correlation_shift])
def test_coarser_pixels_where_memory_is_short(monkeypatch, method):
    """The answer stays true, though much of the sky folds over: its error grows, and holds the shift."""
    pair = simulate_pair((480, 500), shift=(2.3, -4.4), snr=100, fwhm=1.8, rng=4)
    whole = method(pair.reference, pair.image)
    # Half of it: room for 25 arrays of 256 x 266 coarser pixels in double precision, not for four times that.
    monkeypatch.setattr(astroreg.memory, "memory_limit", lambda: 5e7)
    with pytest.warns(AstroregWarning, match="500 x 480 pixels were fitted on pixels [23] times coarser"):
        coarse = method(pair.reference, pair.image)
    assert coarse.n_pixels < 1.01 * whole.n_pixels
    assert (coarse.shift_error > whole.shift_error).all()
    # Three of its own errors; what folds over pulled each method by three and a half.
    assert (abs(coarse.shift - pair.shift) < 3 * coarse.shift_error).all()
