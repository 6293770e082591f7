"""Simulated skies and image pairs with a known offset, and the smallest error that each allows.

Two kinds of sky:

- `extended_sky` and `simulate_pair`: a power-law field on a pixel grid, seen twice by the same
  camera with an exactly known sub-pixel shift. What accuracy is measured with.
- `SphericalSky`: an analytic sky on the sphere, which any number of cameras observe through any
  WCS, beam and unit without interpolation. What the whole job (`astroreg.align`) is tried with.

Every random choice takes ``rng=`` (a seed or a `numpy.random.Generator`).
"""

from astroreg.simulation.limit import shift_limit
from astroreg.simulation.noise import correlated_noise
from astroreg.simulation.pair import SimulatedPair, simulate_pair
from astroreg.simulation.sky import extended_sky
from astroreg.simulation.spherical import SphericalSky
from astroreg.simulation.wcs import tan_wcs

__all__ = [
    "SimulatedPair",
    "SphericalSky",
    "correlated_noise",
    "extended_sky",
    "shift_limit",
    "simulate_pair",
    "tan_wcs",
]
