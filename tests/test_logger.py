"""What astropy's logger is told: the passes of `align`, at a level that nobody sees unasked."""

from __future__ import annotations

import pytest
from astropy import log

from astroreg import align
from astroreg.simulation import simulate_pair


@pytest.fixture
def pair():
    return simulate_pair((48, 48), shift=(1.3, -2.2), rng=1)


@pytest.mark.parametrize(("level", "told"), [("DEBUG", True), ("INFO", False)])
def test_passes_are_told_to_who_asks(pair, level, told):
    before = log.level
    try:
        log.setLevel(level)
        with log.log_to_list() as records:
            found = align(pair.reference, pair.image, max_shift=6)
    finally:
        log.setLevel(before)
    mine = [record.getMessage() for record in records if record.origin.startswith("astroreg")]
    assert len(mine) == (found.iterations if told else 0)
    for number, message in enumerate(mine, 1):
        assert message.startswith(f"align, pass {number}: <ShiftResult dx = ")
