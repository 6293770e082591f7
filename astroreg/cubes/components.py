"""The channels of two cubes as a few images: the eigenvectors of their common structure.

Emission is alike in neighbouring channels, so that a cube of a hundred channels holds a few independent
images. In channels divided by their noise, these are the projections onto the eigenvectors of the covariance
between channels (Karhunen & Loeve); channels without signal have no part in any of them. The noise of two of
them is independent, as that of channels is, so that information adds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy  # its parts are loaded where they are first used

from astroreg.estimators.noise import noise_variance
from astroreg.estimators.overlap import Plane
from astroreg.inputs import Frame

__all__ = ["Components", "channel_noise", "make_components", "project_image"]

MOST = 40  # components: more is more time for little signal
_SMOOTHING = 1.5  # pixels: structure is told from noise in channels so smoothed
_STEP = 2  # of the smoothed pixels one in so many is used along each axis
_SIGNIFICANT = 3.0  # standard errors of an eigenvalue of noise
_COMPLETE = 0.3  # of a component's squared weight that the good channels of a pixel must hold
_BAND = 1 << 20  # values that are read at once


@dataclass(frozen=True)
class Components:
    """Pairs of images with one shift and one flux scale in common.

    Attributes
    ----------
    reference, image : list of Plane
        The components of either cube, in units of the noise; the reference already scaled.
    weights : ndarray, shape (channels, components)
        Orthonormal: how channels, divided by `noise`, make the components.
    noise : ndarray, shape (channels,)
        Standard deviation of the difference of the two cubes in each channel; infinite where it is not used.
    scale : float
        Image units per reference unit that was put into the reference.
    strength : ndarray
        Mean square signal of each component over its noise.
    """

    reference: list[Plane]
    image: list[Plane]
    weights: np.ndarray
    noise: np.ndarray
    scale: float
    strength: np.ndarray


def channel_noise(cube: Frame) -> tuple[np.ndarray, bool]:
    """Return the mean variance of each channel, and whether it had to be estimated.

    Parameters
    ----------
    cube : Frame
        The cube.

    Returns
    -------
    variance : ndarray, shape (channels,)
        NaN where a channel has no good pixels.
    estimated : bool
        Whether the cube has no uncertainty.
    """
    good = [None if cube.mask is None else ~plane for plane in _planes(cube.mask, len(cube.data))]
    if cube.variance is None:
        return np.array([noise_variance(d, g) for d, g in zip(cube.data, good, strict=True)]), True
    means = [
        float(v.mean(dtype=float)) if g is None else float(v[g].mean(dtype=float)) if g.any() else np.nan
        for v, g in zip(cube.variance, good, strict=True)
    ]
    return np.array(means), False


def _planes(array: np.ndarray | None, count: int) -> list:
    return [None] * count if array is None else list(array)


def make_components(
    reference: Frame, image: Frame, *, fit_scale: bool, fit_background: bool, most: int = MOST
) -> Components:
    """Return the components that two cubes have in common.

    Parameters
    ----------
    reference, image : Frame
        The cubes, with as many channels.
    fit_scale, fit_background : bool
        Whether flux scale and the background of each channel are free.
    most : int, optional
        Largest number of components.

    Returns
    -------
    Components
        At least one, unless no channel has good pixels in both.
    """
    variances = [channel_noise(cube)[0] for cube in (reference, image)]
    smooth = [_smoothed(cube, fit_background) for cube in (reference, image)]
    scale = _first_scale(smooth, variances) if fit_scale else 1.0
    noise = _total_noise(scale, variances)
    matrix, noise_share = _structure(smooth, variances, scale, noise)
    values, vectors = np.linalg.eigh(matrix)
    order = np.argsort(values)[::-1]
    values, vectors = values[order], vectors[:, order]
    number = max(1, min(most, int(np.count_nonzero(values > noise_share)), int(np.isfinite(noise).sum())))
    weights = vectors[:, :number]
    pairs = [
        _projected(cube, variance, weights, factor / noise, without_mean=fit_background)
        for cube, variance, factor in ((reference, variances[0], scale), (image, variances[1], 1.0))
    ]
    return Components(pairs[0], pairs[1], weights, noise, scale, values[:number])


def _smoothed(cube: Frame, without_mean: bool) -> np.ndarray:
    """Return smoothed, thinned channels, shape (channels, n); 0 in bad places."""
    out = []
    for data, bad in zip(cube.data, _planes(cube.mask, len(cube.data)), strict=True):
        good = np.ones(data.shape, bool) if bad is None else ~bad
        values = np.where(good, data, 0).astype(float)
        if without_mean and good.any():
            values[good] -= values[good].mean()
        weight = scipy.ndimage.gaussian_filter(good.astype(float), _SMOOTHING, mode="constant")
        mean = scipy.ndimage.gaussian_filter(values, _SMOOTHING, mode="constant")
        mean = np.divide(mean, weight, out=np.zeros_like(mean), where=weight > 0.5)
        out.append(mean[::_STEP, ::_STEP].ravel())
    return np.array(out)


def _noise_left() -> float:
    """Return the share of white noise's variance that the smoothing leaves."""
    return 1 / (4 * np.pi * _SMOOTHING**2)


def _first_scale(smooth: list[np.ndarray], variances: list[np.ndarray]) -> float:
    """Return the flux scale from the mean squares of the smoothed signal."""
    power = [
        float(np.nansum((s**2).mean(axis=1) - _noise_left() * v))
        for s, v in zip(smooth, variances, strict=True)
    ]
    return float(np.sqrt(power[1] / power[0])) if min(power) > 0 else 1.0


def _total_noise(scale: float, variances: list[np.ndarray]) -> np.ndarray:
    total = scale**2 * variances[0] + variances[1]
    used = np.isfinite(total)
    if not (total[used] > 0).any():
        return np.where(used, 1.0, np.inf)  # two noiseless cubes
    floor = 1e-6 * np.median(total[used & (total > 0)])
    return np.where(used, np.sqrt(np.maximum(total, floor)), np.inf)


def _structure(smooth, variances, scale, noise) -> tuple[np.ndarray, float]:
    """Return the covariance of the signal between channels, and what chance may give an eigenvalue of it."""
    first, second = scale * smooth[0] / noise[:, None], smooth[1] / noise[:, None]
    count = first.shape[1]
    # The shift between the two is not known yet: the covariance within each does not depend on it.
    moved = 0.5 * (first @ first.T + second @ second.T) / count
    shares = np.nan_to_num((scale**2 * variances[0] + variances[1]) / noise**2)
    matrix = moved - 0.5 * _noise_left() * np.diag(shares)
    independent = max(count * _STEP**2 * _noise_left(), 1.0)
    chance = 0.5 * _noise_left() * _SIGNIFICANT * 2 * np.sqrt(len(matrix) / independent)
    return matrix, chance


def _projected(cube: Frame, variance, weights, factor, *, without_mean: bool) -> list[Plane]:
    """Return the components of one cube; a pixel's bad channels are replaced by what the others tell."""
    channels, ny, nx = cube.data.shape
    number = weights.shape[1]
    data, spread = np.empty((number, ny, nx)), np.empty((number, ny, nx))
    good = np.ones((ny, nx), bool)
    level = _levels(cube) if without_mean else np.zeros(channels)
    rows = max(1, _BAND // (channels * nx))
    for start in range(0, ny, rows):
        band = slice(start, min(start + rows, ny))
        values = (cube.data[:, band].astype(float) - level[:, None, None]) * factor[:, None, None]
        noise = variance[:, None, None] if cube.variance is None else cube.variance[:, band].astype(float)
        noise = np.broadcast_to(noise * factor[:, None, None] ** 2, values.shape)
        bad = ~np.isfinite(values) | ~np.isfinite(noise)
        if cube.mask is not None:
            bad |= cube.mask[:, band]
        parts = _solved(
            values.reshape(channels, -1), noise.reshape(channels, -1), bad.reshape(channels, -1), weights
        )
        shape = values.shape[1:]
        data[:, band], spread[:, band] = (part.reshape(number, *shape) for part in parts[:2])
        good[band] = parts[2].reshape(shape)
    mask = None if good.all() else good
    return [Plane(d, s, mask) for d, s in zip(data, spread, strict=True)]


def _levels(cube: Frame) -> np.ndarray:
    """Return the mean of each channel's good pixels: a constant, for the sake of rounding and of gaps."""
    good = [None if bad is None else ~bad for bad in _planes(cube.mask, len(cube.data))]
    return np.array(
        [
            float(d.mean(dtype=float)) if g is None else float(d[g].mean(dtype=float)) if g.any() else 0.0
            for d, g in zip(cube.data, good, strict=True)
        ]
    )


def _solved(values, noise, bad, weights) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return components, variances and goodness of pixels in columns; by least squares where some are bad."""
    values, noise = np.where(bad, 0, values), np.where(bad, 0, noise)
    data, spread = weights.T @ values, (weights**2).T @ noise
    held = (weights**2).T @ bad  # squared weight of the bad channels
    broken = np.flatnonzero(held.max(axis=0) > 1e-6)
    good = np.ones(values.shape[1], bool)
    if broken.size:
        present = (~bad[:, broken]).astype(float)
        normal = np.einsum("ki,kn,kj->nij", weights, present, weights)
        good[broken] = np.linalg.eigvalsh(normal)[:, 0] > _COMPLETE
        kept, normal = broken[good[broken]], normal[good[broken]]
        if kept.size:
            inverse = np.linalg.inv(normal)
            data[:, kept] = np.einsum("nij,jn->in", inverse, data[:, kept])
            middle = np.einsum("ki,kn,kj->nij", weights, noise[:, kept], weights)
            spread[:, kept] = np.einsum("nij,njk,nik->in", inverse, middle, inverse)
    return data, spread, good


def project_image(reference: Frame, image: Frame, *, fit_background: bool) -> Components:
    """Return the components of one cube, each beside the same image.

    Parameters
    ----------
    reference : Frame
        A 2-D image.
    image : Frame
        The cube.
    fit_background : bool
        Whether the background of each channel is free.

    Returns
    -------
    Components
        With the reference as it is, and the image's components in units of their noise.
    """
    variance = channel_noise(image)[0]
    smooth = _smoothed(image, fit_background)
    nothing = np.zeros_like(variance)
    noise = _total_noise(0.0, [nothing, variance])
    matrix, chance = _structure([smooth, smooth], [variance, variance], 1.0, noise)
    values, vectors = np.linalg.eigh(matrix)
    order = np.argsort(values)[::-1]
    number = max(1, min(MOST, int(np.count_nonzero(values > chance)), int(np.isfinite(noise).sum())))
    weights = vectors[:, order[:number]]
    planes = _projected(image, variance, weights, 1 / noise, without_mean=fit_background)
    first = Plane(
        np.where(reference.valid, reference.data, 0).astype(float),
        0.0 if reference.variance is None else np.where(reference.valid, reference.variance, 0).astype(float),
        None if reference.mask is None else reference.valid,
    )
    return Components([first] * number, planes, weights, noise, 1.0, values[order[:number]])
