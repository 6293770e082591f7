"""The kinds of simulated pair that the tables of docs/accuracy.rst are measured on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from astroreg.simulation import SimulatedPair, simulate_pair

__all__ = ["SCENES", "Scene"]


@dataclass(frozen=True)
class Scene:
    """One kind of pair: what it is in words, and how `simulate_pair` makes it.

    Attributes
    ----------
    name : str
        Short name, used in the file, the tables and on the command line.
    words : str
        What is special, for the reader of the page.
    options : dict
        Arguments of `simulate_pair`, without masks and random numbers.
    masked : bool
        Whether dead columns and a blanked disc are added to bad pixels at random.
    seed : int
        Of the sky and the detector.
    """

    name: str
    words: str
    options: dict[str, Any] = field(default_factory=dict)
    masked: bool = False
    seed: int = 3

    def pair(self) -> SimulatedPair:
        """Return the pair; its sky, its masks and its noise levels are the same in every run."""
        options = {"shape": (128, 128), **self.options}
        if self.masked:
            options |= {"bad_fraction": 0.03, "mask": blanked(options["shape"])}
        return simulate_pair(**options, rng=self.seed)


def blanked(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return masks of reference and image: a disc in each, at other places, and dead columns in the image."""
    y, x = (np.arange(n) / n for n in shape)
    reference = np.hypot(y[:, None] - 0.7, x[None, :] - 0.55) < 0.05
    image = np.hypot(y[:, None] - 0.3, x[None, :] - 0.25) < 0.06
    image[:, int(0.6 * shape[1]) :][:, :3] = True
    return reference, image


_ALL = (
    Scene(
        "demonstration",
        "the classic demonstration: periodic, 100 by 100 pixels, index 2, noise in the image only",
        {
            "shape": (100, 100),
            "shift": (4.76666, -12.33333),
            "index": 2.0,
            "snr_reference": np.inf,
            "periodic": True,
        },
    ),
    Scene("window", "two windows on a larger sky, both of S/N 10 in a pixel; what follows changes one thing"),
    Scene("odd shape", "161 by 127 pixels", {"shape": (127, 161), "shift": (-6.42, 2.18)}),
    Scene("S/N 1", "as much noise as emission, 160 by 160 pixels", {"shape": (160, 160), "snr": 1.0}),
    Scene("S/N 3, deep reference", "image of S/N 3, reference of S/N 100", {"snr": 3, "snr_reference": 100}),
    Scene("S/N 100, poor reference", "the reverse", {"snr": 100, "snr_reference": 3}),
    Scene("S/N 100", "both images of S/N 100", {"snr": 100}),
    Scene(
        "flux scale",
        "the image is 1.7 times as bright, on a background of 50",
        {"scale": 1.7, "background": 50.0},
    ),
    Scene("vignetting", "noise that grows fourfold from the middle to the corners", {"vignetting": 3.0}),
    Scene("masks", "3 % of bad pixels in each image, dead columns, a blanked disc in each", masked=True),
    Scene(
        "everything",
        "masks, vignetting, scale 1.3 and background 5 together",
        {"vignetting": 3.0, "scale": 1.3, "background": 5.0},
        masked=True,
    ),
    Scene("stars", "12 point sources on the emission", {"point_sources": 12}),
    Scene("steep", "power law of index 4: hardly any small structure", {"index": 4.0}),
    Scene("shallow", "power law of index 1.5: much small structure", {"index": 1.5}),
    Scene(
        "large shift",
        "62 and 44 of 160 pixels: 45 % of the image overlaps",
        {"shape": (160, 160), "shift": (61.73, -44.28)},
    ),
    Scene(
        "correlated noise",
        "noise smoothed by a Gaussian of sigma 1.5 pixel, which the attached uncertainties do not tell; "
        "the limit is that of white noise: a yardstick here, not a limit",
        {"shape": (160, 160), "correlation": 1.5},
    ),
)
SCENES = {scene.name: scene for scene in _ALL}
