"""Generalized WCS as pipelines make them: of JWST, and of a plain camera on the ground."""

import astropy.units as u
import gwcs
import numpy as np
from astropy.coordinates import ICRS
from astropy.modeling import models
from astropy.modeling.fitting import LinearLSQFitter
from gwcs import coordinate_frames
from gwcs.geometry import CartesianToSpherical, SphericalToCartesian

SCALE = 0.065  # arcsec per pixel
SIZE = 2048


def detector_frame(name="detector"):
    return coordinate_frames.Frame2D(name=name, axes_order=(0, 1), unit=(u.pix, u.pix))


def sky_frame(frame=None):
    return coordinate_frames.CelestialFrame(
        reference_frame=frame or ICRS(), unit=(u.deg, u.deg), name="world"
    )


def distortion():
    """Second-order polynomials, 1 % at the edge, with polynomials of fifth order for the inverse."""
    shift = models.Shift(-SIZE / 2) & models.Shift(-SIZE / 2)
    x = models.Polynomial2D(2, c1_0=SCALE, c0_1=1e-4, c2_0=3e-7, c1_1=-2e-7, c0_2=1e-7)
    y = models.Polynomial2D(2, c1_0=-2e-4, c0_1=SCALE, c2_0=1e-7, c1_1=3e-7, c0_2=-2e-7)
    both = models.Mapping((0, 1, 0, 1)) | x & y
    right, up = (axis.ravel() for axis in np.meshgrid(*[np.linspace(-SIZE / 2, SIZE / 2, 21)] * 2))
    fit = LinearLSQFitter()
    back = [fit(models.Polynomial2D(5), *both(right, up), pixels) for pixels in (right, up)]
    both.inverse = models.Mapping((0, 1, 0, 1)) | back[0] & back[1]
    return shift | both


def jwst_like(dec=60.0, ra=150.0, v2=120.0, v3=-527.0, roll=35.0, aberration=False):
    """Pipeline detector -> v2v3 [-> v2v3vacorr] -> world in the structure of the JWST imaging modes."""
    to_v2v3 = distortion() | models.Shift(v2) & models.Shift(v3)
    angles = [v2 / 3600, -v3 / 3600, roll, dec, -ra]
    to_sky = (
        models.Scale(1 / 3600) & models.Scale(1 / 3600)
        | SphericalToCartesian(wrap_lon_at=180)
        | models.RotationSequence3D(angles, axes_order="zyxyz")
        | CartesianToSpherical(wrap_lon_at=360)
    )
    v2v3 = coordinate_frames.Frame2D(name="v2v3", axes_order=(0, 1), unit=(u.arcsec, u.arcsec))
    steps = [(detector_frame(), to_v2v3)]
    if aberration:
        vacorr = coordinate_frames.Frame2D(name="v2v3vacorr", axes_order=(0, 1), unit=(u.arcsec, u.arcsec))
        scale = 1 + 9e-5
        va = models.Scale(scale) & models.Scale(scale) | models.Shift(v2 * (1 - scale)) & models.Shift(
            v3 * (1 - scale)
        )
        steps += [(v2v3, va), (vacorr, to_sky)]
    else:
        steps += [(v2v3, to_sky)]
    wcs = gwcs.WCS([*steps, (sky_frame(), None)])
    wcs.pixel_shape = (SIZE, SIZE)
    wcs.bounding_box = ((-0.5, SIZE - 0.5), (-0.5, SIZE - 0.5))
    return wcs


def ground_like(dec=60.0, ra=150.0, frame=None, lat_first=False):
    """A plain tangent-plane camera: shift, scale, TAN, rotation to the sky."""
    shift = models.Shift(-SIZE / 2) & models.Shift(-SIZE / 2)
    scale = models.Scale(-SCALE / 3600) & models.Scale(SCALE / 3600)
    sky = models.Pix2Sky_TAN() | models.RotateNative2Celestial(ra, dec, 180)
    axes_order = (0, 1)
    if lat_first:
        sky, axes_order = sky | models.Mapping((1, 0)), (1, 0)
    world = coordinate_frames.CelestialFrame(
        reference_frame=frame or ICRS(), unit=(u.deg, u.deg), name="world", axes_order=axes_order
    )
    wcs = gwcs.WCS([(detector_frame(), shift | scale | sky), (world, None)])
    wcs.pixel_shape = (SIZE, SIZE)
    wcs.bounding_box = ((-0.5, SIZE - 0.5), (-0.5, SIZE - 0.5))
    return wcs
