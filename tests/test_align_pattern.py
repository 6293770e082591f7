"""`align` on frames of one detector: hot pixels that both share must not stand for the sky."""

import numpy as np
import pytest
from astropy import units as u

from astroreg import align
from astroreg.flags import ShiftFlag
from astroreg.simulation import simulate_pair


@pytest.mark.parametrize("seed", [1, 2])
def test_hot_pixels_of_one_detector_do_not_stand_for_the_sky(seed):
    pair = simulate_pair((96, 96), shift=(9.3, -6.6), hot_pixels=0.003, hot_level=10.0, rng=seed)
    found = align(pair.reference, pair.image)
    off = np.abs(found.shift - pair.shift).to_value(u.pixel)
    # Five errors of 0.02 pixel; the pattern itself would give 0, which is 9 pixels away.
    assert off.max() < 0.1
    assert ShiftFlag.FIXED_PATTERN in found.passes[0].flags
    assert found.corrected is not None
