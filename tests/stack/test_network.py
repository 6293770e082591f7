"""The joint least squares: errors, rejection, and the part of the variance that pairs share."""

from itertools import combinations

import numpy as np
import pytest

from astroreg.stack.network import INDEPENDENT, Network


def all_pairs(nodes):
    return np.array(list(combinations(range(nodes), 2)))


def shared(edges):
    """Correlation of the errors of pairs of equal images that see the same: half for each common image."""
    sign = np.zeros((len(edges), len(edges)))
    for a in (0, 1):
        for b in (0, 1):
            sign = sign + 0.5 * (1 if a == b else -1) * (edges[:, a][:, None] == edges[:, b][None, :])
    return np.kron(sign, np.eye(2))


def network(shifts, edges, gauge=None, covariances=None):
    nodes = edges.max() + 1
    gauge = np.full(nodes, 1 / nodes) if gauge is None else np.asarray(gauge, float)
    covariances = np.tile(np.eye(2), (len(edges), 1, 1)) if covariances is None else covariances
    return Network(edges, shifts, covariances, shared(edges), np.ones(len(edges)), gauge)


def draw(nodes, share, rng, edges=None):
    """Errors of variance 1 per pair, of which the images' own noise is `share`."""
    edges = all_pairs(nodes) if edges is None else edges
    own = rng.normal(size=(nodes, 2)) * np.sqrt(share / 2)
    errors = own[edges[:, 1]] - own[edges[:, 0]]
    return edges, errors + rng.normal(size=errors.shape) * np.sqrt(1 - share)


def test_exact_shifts_give_exact_parameters():
    edges = all_pairs(5)
    truth = np.random.default_rng(1).normal(size=(5, 2))
    fit = network(truth[edges[:, 1]] - truth[edges[:, 0]], edges).solve()
    np.testing.assert_allclose(fit.x.reshape(5, 2), truth - truth.mean(axis=0), atol=1e-12)
    assert fit.chi2 == pytest.approx(0, abs=1e-20)
    assert fit.dof == 2 * (10 - 4)
    assert fit.used.all()


def test_a_reference_stands_still_without_error():
    edges = all_pairs(4)
    truth = np.arange(8.0).reshape(4, 2)
    fit = network(truth[edges[:, 1]] - truth[edges[:, 0]], edges, gauge=[0, 0, 1, 0]).solve()
    np.testing.assert_allclose(fit.x.reshape(4, 2), truth - truth[2], atol=1e-12)
    assert not fit.covariance[4:6].any()
    assert not fit.covariance[:, 4:6].any()


def test_weighted_mean_is_zero():
    gauge = np.array([0.5, 0.3, 0.2])
    edges, errors = draw(3, 0.5, np.random.default_rng(2))
    fit = network(errors, edges, gauge=gauge).solve()
    np.testing.assert_allclose(gauge @ fit.x.reshape(3, 2), 0, atol=1e-12)
    np.testing.assert_allclose(np.kron(gauge, np.eye(2)) @ fit.covariance, 0, atol=1e-12)


def test_independent_pairs_agree_with_generalised_least_squares_by_hand():
    edges = np.array([[0, 1], [1, 2], [0, 2]])
    rng = np.random.default_rng(3)
    covariances = np.array([np.diag(rng.uniform(0.5, 2, 2)) for _ in edges])
    shifts = rng.normal(size=(3, 2))
    one = network(shifts, edges, gauge=[1, 0, 0], covariances=covariances)
    fit = one.final(np.ones(3, bool), 1.0, np.full(3, np.nan), np.zeros(3, bool))
    # The two axes are independent, and node 0 is the origin.
    design = np.array([[1, 0], [-1, 1], [0, 1]], float)
    for axis in (0, 1):
        weight = np.diag(1 / covariances[:, axis, axis])
        inverse = np.linalg.inv(design.T @ weight @ design)
        expected = inverse @ design.T @ weight @ shifts[:, axis]
        np.testing.assert_allclose(fit.x.reshape(3, 2)[1:, axis], expected, rtol=1e-10)
        np.testing.assert_allclose(fit.covariance[2 + axis :: 2, 2 + axis :: 2], inverse, rtol=1e-10)


def test_a_tree_has_no_redundancy():
    edges = np.array([[0, 1], [1, 2]])
    fit = network(np.ones((2, 2)), edges).solve()
    assert (fit.dof, fit.chi2, fit.independent) == (0, 0, INDEPENDENT)
    assert np.isnan(fit.test).all()
    np.testing.assert_allclose(fit.x.reshape(3, 2)[:, 0], [-1, 0, 1], atol=1e-12)


@pytest.mark.parametrize("share", [0.98, 0.85, 0.5])
def test_quoted_errors_are_those_of_the_draws(share):
    rng = np.random.default_rng(4)
    fits = [network(*reversed(draw(8, share, rng))).solve() for _ in range(25)]
    x = np.array([fit.x for fit in fits])
    quoted = np.mean([np.diag(fit.covariance) for fit in fits])
    # 25 draws of 14 free parameters: the rms is known to 1 / sqrt(2 * 350) = 4 %; bounds at 3 sigma. Were the
    # pairs taken as independent, the ratio would be below 0.6 for a share of 0.85 and more.
    assert np.sqrt(quoted / (x**2).mean()) == pytest.approx(1, abs=0.12)
    assert np.median([fit.independent for fit in fits]) == pytest.approx(1 - share, rel=0.35)


@pytest.mark.parametrize("nodes", [4, 8])
def test_a_blunder_is_found(nodes):
    edges, errors = draw(nodes, 0.9, np.random.default_rng(5))
    errors[2] += 8
    fit = network(errors, edges).solve()
    assert np.flatnonzero(~fit.used).tolist() == [2]
    assert fit.dof == 2 * (len(edges) - 1 - (nodes - 1))
    assert fit.test[2] > 30


def test_blunders_that_hide_each_other_are_found():
    edges, errors = draw(6, 0.9, np.random.default_rng(6))
    wrong = [2, 7, 9]
    errors[wrong] += 8
    assert np.flatnonzero(~network(errors, edges).solve().used).tolist() == wrong


def test_errors_that_are_all_too_small_reject_nothing_and_are_enlarged():
    edges, errors = draw(8, 0.0, np.random.default_rng(7))
    small = network(5 * errors, edges).solve()
    assert small.used.all()
    assert small.independent == 1
    assert small.chi2 / small.dof > 10
    # All pairs of n nodes with independent errors of variance 1: (1 - 1/n) / n for each.
    expected = (1 - 1 / 8) / 8 * small.chi2 / small.dof
    np.testing.assert_allclose(np.diag(small.covariance), expected, rtol=1e-9)


def test_a_triangle_cannot_tell_which_pair_is_wrong():
    edges = all_pairs(3)
    shifts = np.zeros((3, 2))
    shifts[0] = 20
    fit = network(shifts, edges).solve()
    assert fit.used.all()
    assert fit.unresolved.all()


def test_the_only_pair_of_an_image_is_never_rejected():
    edges = np.vstack([all_pairs(4), [[3, 4]]])
    shifts = np.zeros((7, 2))
    shifts[-1] = 1000
    fit = network(shifts, edges).solve()
    assert fit.used.all()
    assert np.isnan(fit.test[-1])
