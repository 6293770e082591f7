"""Every argument of `register_tiles`, given nonsense: refused by name, or taken for what it is."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest
from astropy import units as u

from astroreg import AstroregWarning, register_tiles
from astroreg.simulation import simulate_pair


class Odd:
    """Something that nothing can use."""


PAIR = simulate_pair((20, 22), shift=(1.2, -0.7), rng=1)
NAMES = list(inspect.signature(register_tiles).parameters)
NONSENSE = (
    Odd(),
    1j,
    b"x",
    3 * u.s,
    [1 * u.s, "a", None],
    np.nan,
    -3,
    "nonsense",
    {},
    (-1, 5),
    np.ones((3, 3, 3)),
)


def refusal(arguments):
    """Return the error of a call, or None where it gives an answer; other warnings than ours are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", AstroregWarning)
        try:
            register_tiles(**arguments)
        except (TypeError, ValueError, OSError) as error:
            return error
    return None


@pytest.mark.parametrize("name", NAMES)
def test_nonsense_is_refused_by_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    usual = {"reference": PAIR.reference, "image": PAIR.image, "tiles": None if name == "tile_size" else 2}
    errors = [refusal(usual | {name: value}) for value in NONSENSE]
    told = [error for error in errors if error is not None]
    assert len(told) >= len(NONSENSE) - 2  # -3 counts HDUs from the end, {} is empty
    for error in told:
        assert isinstance(error, OSError) or "HDU" in str(error) or f"`{name}`" in str(error), error
