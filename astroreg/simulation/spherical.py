"""An analytic sky on the sphere that any camera can observe without interpolation."""

from __future__ import annotations

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.nddata import CCDData, StdDevUncertainty
from astropy.stats import gaussian_fwhm_to_sigma
from numpy.typing import ArrayLike

from astroreg.checks import parse_angle, parse_number, parse_rng, require_kind
from astroreg.simulation._checks import (
    check_count,
    check_index,
    check_mask,
    check_number,
    check_place,
    check_positive,
    check_shape,
    check_unit,
)
from astroreg.simulation.noise import Detector
from astroreg.simulation.sources import source_counts
from astroreg.simulation.wcs import DEFAULT_CENTRE

__all__ = ["SphericalSky"]

_TILE = 32  # pixels of an image are done in squares of this size, each with the blobs near it
_REACH = 7.0  # a Gaussian is 2e-11 of its peak there, and is cut
_FILLING = 0.5  # fraction of the sky that the blobs of one size cover


class SphericalSky:
    """Extended emission made of Gaussian blobs of many sizes, known exactly at every coordinate.

    Two cameras with any WCS (other grids, rotations, frames, pixel scales), beams and units see the
    same sky, so that a known error of pointing can be injected and must be found. All emission is
    positive. A Gaussian beam widens the blobs analytically.

    Parameters
    ----------
    centre : astropy.coordinates.SkyCoord, optional
        Middle of the emission.
    radius : astropy.units.Quantity, optional
        Radius of the emission; frames within it see no edge.
    index : float, optional
        Index of the power spectrum between the smallest and the largest size.
    smallest : astropy.units.Quantity, optional
        FWHM of the smallest blobs; by default ``radius / 60``.
    rms : float, optional
        Rms of the emission before any beam, over the middle half of the radius.
    point_sources : int, optional
        Number of unresolved sources within the radius.
    point_source_flux : float, optional
        Least flux of an unresolved source, in units of `rms` times the area of the smallest
        blob; their numbers fall as ``N(>flux) ~ flux**-1.5``, up to 100 times the least.
    rng : int, array-like, numpy.random.Generator or None, optional
        Seed or generator of the random numbers.

    Raises
    ------
    ValueError
        If a size or the rms is not positive, `radius` is beyond 17 degrees, or `smallest` is not well
        below it.

    Examples
    --------
    >>> from astropy import units as u
    >>> from astroreg.simulation import SphericalSky, tan_wcs
    >>> sky = SphericalSky(radius=2 * u.arcmin, rng=1)
    >>> image = sky.observe(tan_wcs((64, 64)), fwhm=3 * u.arcsec, noise=0.1, rng=2)
    >>> image.shape, image.unit
    ((64, 64), Unit("adu"))
    """

    def __init__(
        self,
        centre: SkyCoord = DEFAULT_CENTRE,
        radius: u.Quantity = 3 * u.arcmin,
        *,
        index: float = 3.0,
        smallest: u.Quantity | None = None,
        rms: float = 1.0,
        point_sources: int = 0,
        point_source_flux: float = 5.0,
        rng: int | ArrayLike | np.random.Generator | None = None,
    ):
        check_place(centre, "centre")
        self.centre = centre.icrs
        self.radius = parse_angle(radius, "radius")
        reach = self.radius.to_value(u.rad)
        check_positive(reach, "radius")
        check_positive(rms, "rms")
        check_index(index)
        check_number(point_source_flux, "point_source_flux")
        point_sources = check_count(point_sources, "point_sources")
        smallest = self.radius / 60 if smallest is None else parse_angle(smallest, "smallest")
        least = gaussian_fwhm_to_sigma * smallest.to_value(u.rad)
        check_positive(least, "smallest")
        if reach > 0.3:
            raise ValueError(f"`radius` must be below 17 degrees, got {radius!r}; simulate a part of the sky")
        if least >= reach / 4:
            raise ValueError(f"`smallest` must be well below `radius`, got {smallest!r} and {radius!r}")
        blob_rng, source_rng = parse_rng(rng).spawn(2)
        self._offset, self._sigma, self._flux = _draw_blobs(reach, least, index, blob_rng)
        self._basis = _tangent_basis(self.centre)
        self._flux *= rms / self._scatter(reach / 2)
        flux = rms * 2 * np.pi * least**2 * point_source_flux
        self._add_sources(point_sources, flux, reach, source_rng)

    def _add_sources(self, number, flux, reach, rng):
        offset = _in_disc(number, reach, rng)
        self._offset = np.concatenate([self._offset, offset])
        self._sigma = np.concatenate([self._sigma, np.zeros(number)])
        self._flux = np.concatenate([self._flux, flux * source_counts(number, rng)])

    def _scatter(self, reach):
        """Return the rms of the emission over a square of half width `reach`."""
        axis = np.linspace(-reach, reach, 96)
        return self._emission(_lift(np.stack(np.meshgrid(axis, axis), axis=-1)), 0.0).std()

    def evaluate(self, coordinates: SkyCoord, *, fwhm: u.Quantity = 0 * u.arcsec) -> np.ndarray:
        """Return the surface brightness at any coordinates.

        Parameters
        ----------
        coordinates : astropy.coordinates.SkyCoord
            Where, in any frame and of any shape.
        fwhm : astropy.units.Quantity, optional
            Full width at half maximum of the Gaussian beam.

        Returns
        -------
        numpy.ndarray
            Surface brightness, of the shape of `coordinates`; NaN where these are NaN.

        Raises
        ------
        ValueError
            If `fwhm` is 0 and the sky has unresolved sources.
        """
        require_kind(coordinates, SkyCoord, "coordinates", "give a SkyCoord")
        sigma = gaussian_fwhm_to_sigma * parse_angle(fwhm, "fwhm").to_value(u.rad)
        check_positive(sigma, "fwhm", zero=not (self._sigma == 0).any())
        vectors = np.moveaxis(coordinates.icrs.cartesian.xyz.value, 0, -1)
        # Differences from the middle first: the arcseconds would drown in the digits of a unit vector.
        local = (vectors - self._basis[2]) @ self._basis.T
        return self._emission(local, sigma)

    def _emission(self, points, beam):
        """Sum the blobs at `points` (..., 3), tile by tile."""
        grid = points if points.ndim == 3 else points.reshape(1, -1, 3)
        step = (_TILE, _TILE) if points.ndim == 3 else (1, _TILE**2)
        centres, variance = _lift(self._offset), self._sigma**2 + beam**2
        peak = self._flux / (2 * np.pi * variance)
        out = np.zeros(grid.shape[:2])
        for y in range(0, grid.shape[0], step[0]):
            for x in range(0, grid.shape[1], step[1]):
                tile = np.s_[y : y + step[0], x : x + step[1]]
                out[tile] = _sum_near(grid[tile], centres, variance, peak)
        return out.reshape(points.shape[:-1])

    def observe(
        self,
        wcs,
        shape: tuple[int, int] | None = None,
        *,
        fwhm: u.Quantity,
        noise: float = 0.0,
        unit: u.UnitBase | str = u.adu,
        scale: float = 1.0,
        background: float = 0.0,
        bad_fraction: float = 0.0,
        mask: np.ndarray | None = None,
        correlation: float = 0.0,
        claimed_wcs=None,
        rng: int | ArrayLike | np.random.Generator | None = None,
    ) -> CCDData:
        """Take an image.

        Parameters
        ----------
        wcs : astropy.wcs.WCS or another APE-14 celestial WCS
            Where the camera truly points.
        shape : tuple of int, optional
            Shape (ny, nx); by default ``wcs.array_shape``.
        fwhm : astropy.units.Quantity
            Full width at half maximum of the Gaussian beam, the pixel's own width included.
        noise : float, optional
            Standard deviation of the noise, in `unit`.
        unit : astropy.units.Unit or str, optional
            Unit of the image.
        scale, background : float, optional
            ``image = scale * surface brightness + background``, in `unit`.
        bad_fraction : float, optional
            Fraction of isolated bad pixels.
        mask : numpy.ndarray, optional
            Further bad pixels, True where bad.
        correlation : float, optional
            Correlation of the noise, in pixels; see `correlated_noise`.
        claimed_wcs : astropy.wcs.WCS or another APE-14 WCS, optional
            What the image's header claims, if not the truth.
        rng : int, array-like, numpy.random.Generator or None, optional
            Seed or generator of bad pixels and noise.

        Returns
        -------
        astropy.nddata.CCDData
            With WCS, uncertainty, mask and unit. A masked pixel holds a wild value.

        Raises
        ------
        ValueError
            If the shape is not known or a number is outside its range.
        """
        for one, argument in ((wcs, "wcs"), (wcs if claimed_wcs is None else claimed_wcs, "claimed_wcs")):
            if not hasattr(one, "pixel_to_world") or (
                argument == "wcs" and not getattr(one, "has_celestial", True)
            ):
                raise TypeError(f"`{argument}` must be a celestial WCS, got a {type(one).__name__}")
        shape = wcs.array_shape if shape is None else shape
        if shape is None:
            raise ValueError("`shape` is needed, because `wcs` has no array_shape")
        shape = check_shape(shape)
        parse_number(noise, "noise", low=0)
        check_number(scale, "scale")
        check_number(background, "background")
        unit = check_unit(unit)
        y, x = np.indices(shape)
        sky = scale * self.evaluate(wcs.pixel_to_world(x, y), fwhm=fwhm) + background
        unseen = ~np.isfinite(sky)  # pixels beyond the edge of the projection
        if mask is not None:
            unseen = unseen | check_mask(mask, shape)
        mask_rng, noise_rng = parse_rng(rng).spawn(2)
        sigma = np.full(shape, float(noise))
        detector = Detector.make(
            sigma, bad_fraction=bad_fraction, mask=unseen, correlation=correlation, rng=mask_rng
        )
        uncertainty = StdDevUncertainty(detector.sigma) if noise > 0 else None
        return CCDData(
            detector.expose(sky, noise_rng),
            uncertainty=uncertainty,
            mask=detector.mask,
            unit=unit,
            wcs=wcs if claimed_wcs is None else claimed_wcs,
        )


def _tangent_basis(centre):
    """Return rows (east, north, outward) at `centre`, in ICRS cartesian coordinates."""
    lon, lat = centre.ra.rad, centre.dec.rad
    east = [-np.sin(lon), np.cos(lon), 0.0]
    north = [-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)]
    return np.array([east, north, centre.cartesian.xyz.value])


def _lift(offset):
    """Return points (..., 3) of the sphere, relative to its middle, above the plane offsets (east, north)."""
    square = (offset**2).sum(axis=-1)
    depth = -square / (1 + np.sqrt(1 - square))  # sqrt(1 - r^2) - 1 without losing digits
    return np.concatenate([offset, depth[..., None]], axis=-1)


def _in_disc(number, reach, rng):
    radius, angle = reach * np.sqrt(rng.random(number)), 2 * np.pi * rng.random(number)
    return radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])


def _draw_blobs(reach, least, index, rng):
    """Return offsets (n, 2), widths and fluxes of blobs in half-octave steps of size.

    The blobs of one size cover the same fraction of the sky, whatever the size, so that their power
    at ``k ~ 1 / sigma`` is ``peak**2 sigma**2``: a power law needs ``peak ~ sigma**(index / 2 - 1)``.
    """
    sizes = least * np.sqrt(2) ** np.arange(np.floor(2 * np.log2(reach / 3 / least)) + 1)
    offsets, sigmas, fluxes = [], [], []
    for sigma in sizes:
        outer = reach + 3 * sigma  # the emission must not fade within the radius
        number = max(8, round(_FILLING * outer**2 / (2 * sigma**2)))
        offsets.append(_in_disc(number, outer, rng))
        sigmas.append(np.full(number, sigma))
        peak = (sigma / least) ** (index / 2 - 1) * rng.standard_exponential(number)
        fluxes.append(peak * 2 * np.pi * sigma**2)
    return np.concatenate(offsets), np.concatenate(sigmas), np.concatenate(fluxes)


def _sum_near(points, centres, variance, peak):
    """Sum Gaussians of the chord at `points` (ny, nx, 3), leaving out those too far from all of them."""
    out = np.full(points.shape[:2], np.nan)  # where the coordinates are not
    known = np.isfinite(points).all(axis=-1)
    if not known.any():
        return out
    points = points[known]
    middle = points.mean(axis=0)
    points, centres = points - middle, centres - middle
    extent = np.sqrt((points**2).sum(axis=1).max())
    near = np.sqrt((centres**2).sum(axis=1)) < extent + _REACH * np.sqrt(variance)
    centres, variance, peak = centres[near], variance[near], peak[near]
    square = (points**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1) - 2 * points @ centres.T
    out[known] = np.exp(square / (-2 * variance)) @ peak
    return out
