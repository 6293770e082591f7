"""Simple celestial WCS for simulated frames."""

from __future__ import annotations

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS

from astroreg.checks import parse_angle
from astroreg.simulation._checks import check_place, check_positive, check_shape

__all__ = ["DEFAULT_CENTRE", "mispointed", "tan_wcs"]

DEFAULT_CENTRE = SkyCoord(83.8 * u.deg, -5.4 * u.deg, frame="icrs")

_ZENITHAL = ("AZP", "SZP", "TAN", "STG", "SIN", "ARC", "ZPN", "ZEA", "AIR")
_EQUATORIAL = ("RA---", "DEC--")
_AXES = {"icrs": _EQUATORIAL, "fk5": _EQUATORIAL, "fk4": _EQUATORIAL, "galactic": ("GLON-", "GLAT-")}


def tan_wcs(
    shape: tuple[int, int],
    *,
    centre: SkyCoord = DEFAULT_CENTRE,
    pixel_scale: u.Quantity = 1 * u.arcsec,
    rotation: u.Quantity = 0 * u.deg,
    projection: str = "TAN",
) -> WCS:
    """Make a celestial WCS around a place on the sky, in that place's own frame.

    Parameters
    ----------
    shape : tuple of int
        Shape (ny, nx) of the image; the reference pixel is its middle.
    centre : astropy.coordinates.SkyCoord, optional
        What the middle of the image sees, in frame ICRS, FK5, FK4 or galactic: it becomes the
        frame of the WCS.
    pixel_scale : astropy.units.Quantity, optional
        Angle that a pixel covers.
    rotation : astropy.units.Quantity, optional
        Position angle (from north through east) of the image's y axis.
    projection : str, optional
        Three-letter code of a zenithal FITS projection.

    Returns
    -------
    astropy.wcs.WCS
        With longitude growing to the left, and `array_shape` set.

    Raises
    ------
    ValueError
        If `centre` is in another frame, or `pixel_scale` is not positive.

    Examples
    --------
    >>> from astroreg.simulation import tan_wcs
    >>> wcs = tan_wcs((101, 101))
    >>> wcs.pixel_to_world(50, 50).to_string("decimal")
    '83.8 -5.4'
    """
    shape = check_shape(shape)
    check_place(centre, "centre")
    scale = parse_angle(pixel_scale, "pixel_scale").to_value(u.deg)
    check_positive(scale, "pixel_scale")
    name = centre.frame.name
    if name not in _AXES:
        raise ValueError(f"`centre` must be in one of {sorted(_AXES)}, got {name!r}; transform it first")
    angle = parse_angle(rotation, "rotation").to_value(u.rad)
    if not isinstance(projection, str) or projection not in _ZENITHAL:
        raise ValueError(f"`projection` must be one of {', '.join(_ZENITHAL)}, got {projection!r}")
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = [axis + projection for axis in _AXES[name]]
    wcs.wcs.crpix = [(shape[1] + 1) / 2, (shape[0] + 1) / 2]
    wcs.wcs.crval = [centre.spherical.lon.deg, centre.spherical.lat.deg]
    wcs.wcs.cunit = ["deg", "deg"]
    # y along (east, north) = (sin, cos) of the position angle; x a quarter turn clockwise of it.
    cos, sin = np.cos(angle), np.sin(angle)
    wcs.wcs.cd = scale * np.array([[-cos, sin], [sin, cos]])
    if name in ("fk4", "fk5"):
        wcs.wcs.radesys = name.upper()
        wcs.wcs.equinox = float(centre.frame.equinox.jyear if name == "fk5" else centre.frame.equinox.byear)
    elif name == "icrs":
        wcs.wcs.radesys = "ICRS"
    wcs.array_shape = shape
    wcs.wcs.set()
    return wcs


def mispointed(shape, *, centre, pixel_scale, error):
    """Return a TAN WCS that is wrong by the smallest rotation of the sphere that moves its middle.

    `error` (lon, lat) is what must be added to its coordinates to have the truth
    ``tan_wcs(shape, centre=centre, pixel_scale=pixel_scale)``.
    """
    lon, lat = parse_angle(error, "pointing_error", shape=(2,))
    claimed = centre.spherical_offsets_by(-lon, -lat)
    for _ in range(3):  # the offsets are those seen from the claimed place, which is not yet known
        dlon, dlat = claimed.spherical_offsets_to(centre)
        claimed = claimed.spherical_offsets_by(dlon - lon, dlat - lat)
    if claimed.separation(centre) == 0:
        return tan_wcs(shape, centre=centre, pixel_scale=pixel_scale)
    # Carried along the great circle between the two, a direction keeps its angle to that circle.
    turn = (claimed.position_angle(centre) + 180 * u.deg) - (centre.position_angle(claimed))
    return tan_wcs(shape, centre=claimed, pixel_scale=pixel_scale, rotation=turn)
