"""The fit of the models against its own formulas, simulated shifts, and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

from astroreg.tiles.fitting import MODELS, choose, fit_model, misfit, without_outliers
from tests.tiles.conftest import similarity

COVARIANCE = np.array([[4e-4, 1e-4], [1e-4, 6e-4]])


def grid(number, side=160.0):
    at = np.linspace(-side / 2, side / 2, number)
    return np.array([(x, y) for y in at for x in at])


def drawn(places, matrix, shift, rng):
    """Shifts ``t + (1 - B) u`` with noise, and their covariances."""
    noise = rng.standard_normal(places.shape) @ np.linalg.cholesky(COVARIANCE).T
    covariances = np.broadcast_to(COVARIANCE, (len(places), 2, 2))
    return np.asarray(shift) + places - places @ matrix.T + noise, covariances


MATRICES = {
    "shift": np.eye(2),
    "rshift": similarity(-3),
    "rscale": similarity(-3, 1.03),
    "general": np.array([[1.02, 0.03], [-0.01, 0.97]]),
}


@pytest.mark.parametrize("name", MODELS)
def test_errors_are_the_scatter(name):
    # The rms of 400 pulls is 1 to 1 / sqrt(800) = 0.035; 5 sigma is 0.18.
    rng, places = np.random.default_rng(1), grid(5)
    pulls = []
    for _ in range(400):
        fit = fit_model(name, places, *drawn(places, MATRICES[name], (1.2, -3.0), rng))
        off = np.append(fit.shift - [1.2, -3.0], (fit.matrix - MATRICES[name]).ravel())
        error = np.sqrt(np.diagonal(fit.covariance))
        assert np.all((error > 0) | (np.abs(off) < 1e-12))
        pulls.append(off[error > 0] / error[error > 0])
    assert np.allclose(np.sqrt(np.mean(np.square(pulls), axis=0)), 1, rtol=0, atol=0.18)
    assert np.allclose(np.mean(pulls, axis=0), 0, rtol=0, atol=5 / 20)


@pytest.mark.parametrize("name", MODELS)
def test_it_is_the_minimum_of_chi_squared(name):
    # Against a general minimiser over (t, angle or elements of B).
    places = grid(4)
    shifts, covariances = drawn(places, MATRICES["general"], (0.5, 0.3), np.random.default_rng(2))
    weights = np.linalg.inv(COVARIANCE)

    def matrix(p):
        if name == "rshift":
            return similarity(np.degrees(p[0]))
        if name == "rscale":
            return similarity(np.degrees(p[0]), p[1])
        return np.reshape(p, (2, 2)) if name == "general" else np.eye(2)

    def chi2(p):
        left = shifts - p[:2] - places + places @ matrix(p[2:]).T
        return float(np.einsum("ni,ij,nj->", left, weights, left))

    start = {"shift": [], "rshift": [0.0], "rscale": [0.0, 1.0], "general": [1.0, 0.0, 0.0, 1.0]}[name]
    found = optimize.minimize(
        chi2, [0, 0, *start], method="Nelder-Mead", options={"maxiter": 9000, "fatol": 1e-9}
    )
    fit = fit_model(name, places, shifts, covariances)
    # the simplex may stop a little above the minimum, never below
    assert fit.chi2 <= found.fun * (1 + 1e-9)
    assert fit.chi2 > found.fun * 0.99
    assert fit.dof == 32 - MODELS[name]
    assert fit.bic == pytest.approx(fit.chi2 + MODELS[name] * np.log(32), rel=1e-12)
    assert np.allclose(fit.residuals, shifts - fit.at(places))


@pytest.mark.parametrize("number", [3, 6])
def test_a_shift_is_seldom_taken_for_more(number):
    # Each of three wider models must do what chance does in 1 %: at most 3 % in all. Of 400 draws 12 +- 3.4;
    # 29 are five sigma. The criterion alone takes a wider model in 4 % (6 x 6) and 12 % (3 x 3).
    rng, places = np.random.default_rng(3), grid(number)
    wider = alone = 0
    for _ in range(400):
        data = places, *drawn(places, np.eye(2), (1.2, -3.0), rng)
        fits = {name: fit_model(name, *data) for name in MODELS}
        wider += choose(fits) != "shift"
        alone += min(fits, key=lambda name: fits[name].bic) != "shift"
    assert wider < 29
    assert alone > wider


@pytest.mark.parametrize("name", MODELS)
def test_the_true_model_is_chosen(name):
    rng, places = np.random.default_rng(4), grid(6)
    data = places, *drawn(places, MATRICES[name], (1.2, -3.0), rng)
    fits = {one: fit_model(one, *data) for one in MODELS}
    assert choose(fits) == name
    assert not misfit(fits[name])


def test_distortion_is_a_misfit_and_not_a_few_outliers():
    rng, places = np.random.default_rng(5), grid(6)
    shifts, covariances = drawn(places, np.eye(2), (0, 0), rng)
    shifts = shifts + 0.2 * places * (places**2).sum(axis=1, keepdims=True) / 80**3
    assert misfit(fit_model("general", places, shifts, covariances))
    assert without_outliers(tuple(MODELS), places, shifts, covariances).all()


def test_a_tile_that_contradicts_all_others_is_left_out():
    rng, places = np.random.default_rng(6), grid(6)
    shifts, covariances = drawn(places, np.eye(2), (0, 0), rng)
    shifts[7] += 2.0
    keep = without_outliers(tuple(MODELS), places, shifts, covariances)
    assert np.flatnonzero(~keep).tolist() == [7]


def test_two_tiles_are_no_rotation():
    # Nothing could contradict it: one degree of freedom is left.
    places = grid(2)[:2]
    shifts, covariances = drawn(places, similarity(3), (0, 0), np.random.default_rng(9))
    fits = {name: fit_model(name, places, shifts, covariances) for name in ("shift", "rshift")}
    assert fits["rshift"].chi2 < fits["shift"].chi2 - 1000
    assert choose(fits) == "shift"


def test_too_few_tiles():
    places = grid(2)[:2]
    data = places, *drawn(places, np.eye(2), (0, 0), np.random.default_rng(7))
    assert fit_model("general", *data) is None
    assert fit_model("rshift", *data).dof == 1
    # Three tiles on a line do not tell a general map, though there are six numbers.
    line = np.array([(-1.0, 0.0), (0.0, 0.0), (1.0, 0.0)])
    data = line, *drawn(line, np.eye(2), (0, 0), np.random.default_rng(8))
    assert fit_model("general", *data) is None
