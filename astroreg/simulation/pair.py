"""Pairs of images of one extended sky with a known shift."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.nddata import CCDData, StdDevUncertainty
from astropy.wcs import WCS
from numpy.typing import ArrayLike
from scipy import ndimage

from astroreg.checks import parse_flag, parse_number, parse_positive, parse_rng
from astroreg.simulation._checks import (
    check_count,
    check_number,
    check_positive,
    check_shape,
    check_unit,
    pixel_pair,
)
from astroreg.simulation.limit import shift_limit
from astroreg.simulation.noise import Detector, detector_pattern, vignetted
from astroreg.simulation.sky import PowerLawField, field_power
from astroreg.simulation.sources import PointSources
from astroreg.simulation.wcs import DEFAULT_CENTRE, mispointed, tan_wcs

__all__ = ["SimulatedPair", "simulate_pair"]


@dataclass(frozen=True, eq=False)
class SimulatedPair:
    """Two simulated images of one sky, and the truth about them.

    Attributes
    ----------
    reference, image : astropy.nddata.CCDData
        The noisy images with WCS, uncertainty (`~astropy.nddata.StdDevUncertainty`), mask and unit.
        A masked pixel holds a wild value, so that an estimator which uses it shows.
    shift : astropy.units.Quantity
        The true shift (x, y) of the image relative to the reference, in pixel.
    scale, background : float
        ``image(x) = scale * reference(x - shift) + background``.
    sky_reference, sky_image : numpy.ndarray
        The same frames without noise and detector.
    true_wcs : astropy.wcs.WCS or None
        The WCS that the image should have, where that is known; ``image.wcs`` is what its header
        claims.
    limit : astropy.units.Quantity
        The smallest possible 1-sigma errors (x, y) of the shift, in pixel, with scale, background
        and sky unknown (see `shift_limit`). For correlated noise it is that of white noise of the
        same variance: a yardstick, not a limit. NaN where neither image has noise or they have no
        pixel in common.
    boundary : str
        "wrap" for a periodic sky, else "overlap": what to give to the methods.
    """

    reference: CCDData = field(repr=False)
    image: CCDData = field(repr=False)
    shift: u.Quantity
    scale: float
    background: float
    sky_reference: np.ndarray = field(repr=False)
    sky_image: np.ndarray = field(repr=False)
    true_wcs: WCS | None = field(repr=False)
    limit: u.Quantity
    boundary: str
    _detectors: tuple[Detector, Detector] = field(repr=False)

    def redraw(self, rng: int | ArrayLike | np.random.Generator | None = None) -> SimulatedPair:
        """Return the same sky, seen by the same detectors, with fresh noise.

        Parameters
        ----------
        rng : int, array-like, numpy.random.Generator or None, optional
            Seed or generator of the noise.

        Returns
        -------
        SimulatedPair
            A new pair; this one is left alone.
        """
        rngs = parse_rng(rng).spawn(2)
        old = (self.reference, self.image)
        skies = (self.sky_reference, self.sky_image)
        reference, image = (
            _frame(detector.expose(sky, child), detector, frame.wcs, frame.unit)
            for frame, sky, detector, child in zip(old, skies, self._detectors, rngs, strict=True)
        )
        return replace(self, reference=reference, image=image)

    def draws(
        self, n: int, *, rng: int | ArrayLike | np.random.Generator | None = None
    ) -> Iterator[SimulatedPair]:
        """Iterate over `n` independent redraws; the first ones do not depend on `n`.

        Parameters
        ----------
        n : int
            Number of draws.
        rng : int, array-like, numpy.random.Generator or None, optional
            Seed or generator of the noise.

        Yields
        ------
        SimulatedPair
            One redraw.
        """
        n, rng = parse_positive(n, argument="n", integer=True), parse_rng(rng)
        for _ in range(n):
            yield self.redraw(rng.spawn(1)[0])


def simulate_pair(
    shape: tuple[int, int] = (128, 128),
    *,
    shift: tuple[float, float] = (3.37, -5.81),
    index: float = 3.0,
    fwhm: float = 2.5,
    snr: float = 10.0,
    snr_reference: float | None = None,
    scale: float = 1.0,
    background: float = 0.0,
    periodic: bool = False,
    bad_fraction: float = 0.0,
    mask: tuple[np.ndarray | None, np.ndarray | None] = (None, None),
    correlation: float = 0.0,
    vignetting: float = 0.0,
    fixed_pattern: float = 0.0,
    hot_pixels: float = 0.0,
    hot_level: float = 10.0,
    point_sources: int = 0,
    point_source_peak: float = 5.0,
    centre: SkyCoord = DEFAULT_CENTRE,
    pixel_scale: u.Quantity = 1 * u.arcsec,
    pointing_error: u.Quantity | None = None,
    unit: u.UnitBase | str = u.adu,
    rng: int | ArrayLike | np.random.Generator | None = None,
) -> SimulatedPair:
    """Simulate two images of one extended sky, of which the second is shifted.

    ``image(x) = scale * sky(x - shift) + background + noise``: the content of the image stands
    `shift` further along than that of the reference. The sky has rms 1 over the reference and is
    moved exactly (in Fourier space), never interpolated.

    Parameters
    ----------
    shape : tuple of int, optional
        Shape (ny, nx) of both images.
    shift : tuple of float, optional
        (x, y) in pixels, image relative to reference.
    index, fwhm : float, optional
        Power-law index of the sky's spectrum, and the beam's width in pixels; see `extended_sky`.
    snr : float, optional
        Signal to noise of a pixel of the image: rms of the sky over sigma of the noise.
        `numpy.inf` is no noise.
    snr_reference : float, optional
        The same for the reference; by default that of the image.
    scale, background : float, optional
        Flux scale (image units per reference unit) and constant of the image.
    periodic : bool, optional
        If True the sky wraps around at the edges; by default both images are windows on a larger sky.
    bad_fraction : float, optional
        Fraction of isolated bad pixels, drawn for each image.
    mask : tuple of numpy.ndarray, optional
        Masks of (reference, image), True where bad, in addition to `bad_fraction`.
    correlation : float, optional
        Correlation of the noise, in pixels; see `correlated_noise`.
    vignetting : float, optional
        The noise grows as ``1 + vignetting * r**2`` from the middle to the corners (r = 1).
    fixed_pattern : float, optional
        Rms of a pixel-to-pixel pattern that both frames share because they have one detector, in
        units of the sky's rms. The uncertainties do not know of it.
    hot_pixels : float, optional
        Fraction of hot pixels that both frames share; they are not masked.
    hot_level : float, optional
        Least level of a hot pixel, in units of the sky's rms; twice this on average.
    point_sources : int, optional
        Mean number of point sources in a frame, in addition to the extended sky.
    point_source_peak : float, optional
        Least peak of a point source, in units of the sky's rms; their numbers fall as
        ``N(>peak) ~ peak**-1.5``, up to 100 times the least.
    centre : astropy.coordinates.SkyCoord, optional
        Where the middle of the reference points.
    pixel_scale : astropy.units.Quantity, optional
        Angle that a pixel covers.
    pointing_error : astropy.units.Quantity, optional
        (lon, lat) of what must be added to the coordinates of the image's WCS to make it right. By
        default the image claims the same WCS as the reference, so that the whole shift is an
        error of pointing; (0, 0) gives it the true WCS.
    unit : astropy.units.Unit or str, optional
        Unit of both images.
    rng : int, array-like, numpy.random.Generator or None, optional
        Seed or generator of sky, detectors and noise.

    Returns
    -------
    SimulatedPair
        The two images and the truth.

    Raises
    ------
    ValueError
        If a number is outside its range.
    TypeError
        If `shift` is not a pair in pixels.

    Examples
    --------
    >>> from astroreg.simulation import simulate_pair
    >>> pair = simulate_pair((64, 64), shift=(1.5, -2.25), snr=20, rng=1)
    >>> pair.shift
    <Quantity [ 1.5 , -2.25] pix>
    >>> fresh = pair.redraw(rng=2)
    """
    shape, shift, unit = check_shape(shape), pixel_pair(shift, "shift"), check_unit(unit)
    point_sources = check_count(point_sources, "point_sources")
    _check(shape, shift, periodic, snr, snr_reference, scale, fwhm)
    for value, argument in ((background, "background"), (scale, "scale"), (fwhm, "fwhm")):
        check_number(value, argument)
    check_positive(point_source_peak, "point_source_peak")
    masks = _two_masks(mask)
    sky_rng, source_rng, mask_rng, pattern_rng, noise_rng = parse_rng(rng).spawn(5)
    extended = PowerLawField(shape, index=index, fwhm=fwhm, periodic=periodic, rng=sky_rng)
    sources = PointSources.draw(
        shape, number=point_sources, peak=point_source_peak, fwhm=fwhm, periodic=periodic, rng=source_rng
    )
    still = extended.window() + sources.render()
    moved = extended.window(shift) + sources.render(shift)
    gradient = tuple(
        extended.window(shift, derivative=axis) + sources.render(shift, derivative=axis) for axis in "xy"
    )
    pattern = detector_pattern(
        shape, fixed_pattern=fixed_pattern, hot_pixels=hot_pixels, hot_level=hot_level, rng=pattern_rng
    )
    noise_levels = 1 / (snr if snr_reference is None else snr_reference), scale / snr
    detectors = tuple(
        Detector.make(
            sigma * vignetted(shape, vignetting),
            pattern=pattern,
            bad_fraction=bad_fraction,
            mask=bad,
            correlation=correlation,
            rng=mask_rng,
        )
        for sigma, bad in zip(noise_levels, masks, strict=True)
    )
    # Point sources make the spectrum another one: it is then taken from the gradient itself.
    power = None if sources.peak.size else field_power(shape, index, fwhm)
    limit = _limit(moved, gradient, power, detectors, shift, scale, periodic)
    reference_wcs = tan_wcs(shape, centre=centre, pixel_scale=pixel_scale)
    true_wcs, claimed_wcs = _image_wcs(reference_wcs, shape, shift, centre, pixel_scale, pointing_error)
    pair = SimulatedPair(
        reference=_frame(still, detectors[0], reference_wcs, unit),
        image=_frame(moved, detectors[1], claimed_wcs, unit),
        shift=u.Quantity(shift, u.pixel),
        scale=float(scale),
        background=float(background),
        sky_reference=still,
        sky_image=scale * moved + background,
        true_wcs=true_wcs,
        limit=limit,
        boundary="wrap" if periodic else "overlap",
        _detectors=detectors,
    )
    return pair.redraw(noise_rng)


def _two_masks(mask):
    """Return the masks of reference and image, either of which may be None."""
    if not isinstance(mask, (tuple, list)) or len(mask) != 2:
        raise TypeError(f"`mask` must be a pair (reference, image) of arrays or None, got {mask!r}")
    return mask


def _check(shape, shift, periodic, snr, snr_reference, scale, fwhm):
    check_positive(snr, "snr")
    check_positive(snr if snr_reference is None else snr_reference, "snr_reference")
    parse_number(scale, "scale", low=0, strict=True)
    parse_number(fwhm, "fwhm", low=0)
    parse_flag(periodic, "periodic")
    # The field is three frames wide: further away it would come round again.
    if not periodic and any(abs(s) > 2 * n for s, n in zip(shift, shape[::-1], strict=True)):
        raise ValueError(f"`shift` must be at most twice the frame's size {shape[::-1]}, got {shift}")


def _frame(data, detector, wcs, unit):
    """Return a CCDData that shares nothing with the detector."""
    uncertainty = StdDevUncertainty(detector.sigma.copy())
    return CCDData(data, uncertainty=uncertainty, mask=detector.mask.copy(), wcs=wcs, unit=unit)


def _limit(moved, gradient, power, detectors, shift, scale, periodic):
    """Return the limit over the pixels that both see; NaN where there is none."""
    reference, image = detectors
    move = {"shift": shift[::-1], "order": 0, "mode": "grid-wrap" if periodic else "constant"}
    sigma_reference = ndimage.shift(reference.sigma, **move, cval=0.0)
    mask = image.mask | ndimage.shift(reference.mask.astype(np.uint8), **move, cval=1).astype(bool)
    if mask.all() or not (image.sigma.any() or reference.sigma.any()):
        return np.full(2, np.nan) * u.pixel
    return shift_limit(
        moved,
        gradient=gradient,
        power=power,
        mask=mask,
        scale=scale,
        sigma_image=image.sigma,
        sigma_reference=sigma_reference,
    )


def _image_wcs(reference_wcs, shape, shift, centre, pixel_scale, pointing_error):
    """Return the WCS that the image should have and the one that it claims."""
    true = reference_wcs.deepcopy()
    true.wcs.crpix = true.wcs.crpix + np.array(shift)
    true.wcs.set()
    if pointing_error is None:
        return true, reference_wcs.deepcopy()
    claimed = mispointed(shape, centre=centre, pixel_scale=pixel_scale, error=pointing_error)
    claimed.wcs.crpix = true.wcs.crpix
    claimed.wcs.set()
    return true, claimed
