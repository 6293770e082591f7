"""Are the models found, are the errors true, is distortion recognised: many draws of 6 x 6 tiles."""

from __future__ import annotations

import warnings
from collections import Counter

import numpy as np
import pytest

from astroreg import AstroregWarning, register_tiles
from tests.tiles.conftest import make_scene, similarity

pytestmark = pytest.mark.slow

SIZE = 144  # tiles of 24 pixels
SNR = 20
SHIFT = (1.3, -2.4)


def registered(scene, seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstroregWarning)
        return register_tiles(*scene.pair(seed, SNR), tiles=6)


def barrel(edge):
    """Distortion with the cube of the distance, of `edge` pixels at the middle of the sides."""

    def displacement(x, y):
        growth = edge * (x**2 + y**2) / (SIZE / 2) ** 3
        return growth * x, growth * y

    return displacement


def pulls_of_shift(field):
    model = field.models["shift"]
    return (model.shift.value - SHIFT) / model.shift_error.value


def test_false_alarms(record_property):
    # 200 skies that are only shifted. Of wider models 3 % at most are expected, of distortion 0.1 % where the
    # errors of tiles are true: below 5 % is what is promised, and both are.
    fields = [registered(make_scene(SIZE, shift=SHIFT, seed=seed), seed) for seed in range(200)]
    models = Counter(field.geometry for field in fields)
    distorted = sum(field.distorted for field in fields)
    ratio = 1 / np.sqrt(np.mean(np.square([pulls_of_shift(field) for field in fields]), axis=0))
    chi2 = np.sum([[field.models["general"].chi2, field.models["general"].dof] for field in fields], axis=0)
    record_property("draws", len(fields))
    record_property("models", dict(models))
    record_property("found distorted", int(distorted))
    record_property("quoted / rms", ratio.round(3).tolist())
    record_property("reduced chi2", round(float(chi2[0] / chi2[1]), 3))
    assert 200 - models["shift"] < 10
    assert distorted < 10
    # The rms of 200 numbers is known to 5 %: 0.9 to 1.1, with two of its sigmas on each side.
    assert np.all((ratio > 0.8) & (ratio < 1.2))


@pytest.mark.parametrize("edge", [1.0, 3.0])
def test_a_distorted_mosaic_is_recognised(edge, record_property):
    # What a linear map leaves of the cube is 0.15 of its value at the edge, rms: five times the error of
    # some tile at 1 pixel.
    fields = [
        registered(make_scene(SIZE, shift=SHIFT, distortion=barrel(edge), seed=seed), seed)
        for seed in range(20)
    ]
    recognised = sum(field.distorted for field in fields)
    record_property("draws", len(fields))
    record_property("recognised", int(recognised))
    assert recognised >= 19


def test_rotation_and_scale_are_found_within_their_errors(record_property):
    # 40 skies: each rms of pulls is known to 11 %, that of the four together to 6 %.
    truth = np.array([4.0, -7.0, 3.0, 1.03])
    pulls, models = [], Counter()
    for seed in range(40):
        scene = make_scene(SIZE, matrix=similarity(3, 1.03), shift=truth[:2], seed=1000 + seed)
        field = registered(scene, seed)
        models[field.geometry] += 1
        model = field.models["rscale"]
        found = np.array([*model.shift.value, model.rotation.value, model.scale])
        errors = np.array([*model.shift_error.value, model.rotation_error.value, model.scale_error])
        pulls.append((found - truth) / errors)
    ratio = 1 / np.sqrt(np.mean(np.square(pulls), axis=0))
    together = 1 / np.sqrt(np.mean(np.square(pulls)))
    record_property("draws", len(pulls))
    record_property("models", dict(models))
    record_property("quoted / rms of dx, dy, rotation, scale", ratio.round(3).tolist())
    assert models["rscale"] >= 36  # the general model by chance in 1 %
    assert np.all((ratio > 0.7) & (ratio < 1.45))  # 0.9 to 1.1 and three of its sigmas
    assert 0.8 < together < 1.2
