"""Measure other packages on the simulated pairs of docs/accuracy.rst, on the same draws as chi2_shift.

    pip install image_registration scikit-image opencv-python-headless pystackreg
    OMP_NUM_THREADS=1 python docs/scripts/peers.py -n 100

writes docs/data/peers.ecsv, from which the tables of docs/background.rst are made: the pages need none of
these packages. Each is called as its own documentation advises, and helped where it asks for that: bad pixels
are filled with the median, noise maps of both images are given where one is taken, upsampling is 100.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import warnings
from collections.abc import Callable
from importlib.metadata import distributions, version
from pathlib import Path

import accuracy
import numpy as np

from astroreg import ShiftResult, chi2_shift

FILE = Path(__file__).resolve().parents[1] / "data" / "peers.ecsv"
OURS = "astroreg.chi2_shift"
PACKAGES = ("image_registration", "scikit-image", "opencv-python-headless", "pystackreg")


def peer(measure: Callable) -> Callable:
    """Make a method of `compare_methods` of a function of two filled arrays, two variances, two good maps.

    It returns the shift (x, y) of the image relative to the reference, and the errors, or None.
    """

    @functools.wraps(measure)
    def method(reference, image, *, boundary="overlap"):
        planes = [_filled(frame) for frame in (reference, image)]
        try:
            with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
                warnings.simplefilter("ignore")
                shift, error = measure(*zip(*planes))
        except Exception as failed:
            logging.info("%s: %s", measure.__name__, failed)
            shift, error = (np.nan, np.nan), None
        error = (np.nan, np.nan) if error is None else error
        return ShiftResult(shift=np.asarray(shift, float), covariance=np.diag(np.square(error)))

    return method


def _filled(frame):
    """Return data without holes, the variance, and which pixels are good."""
    good = np.isfinite(frame.data) if frame.mask is None else ~frame.mask & np.isfinite(frame.data)
    data = np.where(good, frame.data, np.median(frame.data[good]))
    variance = np.zeros(data.shape) if frame.uncertainty is None else frame.uncertainty.array**2
    return data, np.where(good, variance, 0.0), good


@peer
def old_chi2(data, variance, good):
    """image_registration.chi2_shift, with the noise of both images and huge noise where a pixel is bad."""
    from image_registration import chi2_shift as measure

    noise = np.where(good[0] & good[1], np.sqrt(variance[0] + variance[1]), 1e10)
    dx, dy, dx_error, dy_error = measure(*data, noise, zeromean=True, upsample_factor="auto")
    return (dx, dy), (dx_error, dy_error)


@peer
def old_taylor(data, variance, good):
    """image_registration.cross_correlation_shifts."""
    from image_registration import cross_correlation_shifts as measure

    noise = [np.sqrt(plane) for plane in variance]
    dx, dy, dx_error, dy_error = measure(*data, *noise, return_error=True)
    return (dx, dy), (dx_error, dy_error)


@peer
def old_dft(data, variance, good):
    """image_registration.register_images; its error is 1/usfac by definition."""
    from image_registration import register_images as measure

    dx, dy, dx_error, dy_error = measure(*data, usfac=100, return_error=True)
    return (dx, dy), (dx_error, dy_error)


def _skimage(data, normalization):
    from skimage.registration import phase_cross_correlation as measure

    dy, dx = measure(*data, upsample_factor=100, normalization=normalization)[0]
    return (-dx, -dy), None


@peer
def skimage_phase(data, variance, good):
    """skimage.registration.phase_cross_correlation with its default, the whitened spectrum."""
    return _skimage(data, "phase")


@peer
def skimage_plain(data, variance, good):
    """The same with normalization=None."""
    return _skimage(data, None)


@peer
def skimage_masked(data, variance, good):
    """The same with masks: whole pixels only."""
    from skimage.registration import phase_cross_correlation as measure

    dy, dx = measure(*data, reference_mask=good[0], moving_mask=good[1])[0]
    return (-dx, -dy), None


@peer
def opencv_phase(data, variance, good):
    """cv2.phaseCorrelate with a Hann window."""
    import cv2

    planes = [np.ascontiguousarray(plane, dtype=np.float64) for plane in data]
    window = cv2.createHanningWindow(planes[0].shape[::-1], cv2.CV_64F)
    return cv2.phaseCorrelate(*planes, window)[0], None


@peer
def opencv_ecc(data, variance, good):
    """cv2.findTransformECC, a translation, beginning at no shift."""
    import cv2

    planes = [np.ascontiguousarray(plane - plane.min(), dtype=np.float32) for plane in data]
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 500, 1e-7)
    warp = np.eye(2, 3, dtype=np.float32)
    warp = cv2.findTransformECC(*planes, warp, cv2.MOTION_TRANSLATION, stop, good[1].astype(np.uint8), 5)[1]
    return warp[:, 2], None


@peer
def stackreg(data, variance, good):
    """pystackreg, a translation."""
    from pystackreg import StackReg

    return StackReg(StackReg.TRANSLATION).register(*data)[:2, 2], None


METHODS = {
    OURS: chi2_shift,
    "image_registration.chi2_shift": old_chi2,
    "image_registration.cross_correlation_shifts": old_taylor,
    "image_registration.register_images": old_dft,
    "skimage phase_cross_correlation, phase": skimage_phase,
    "skimage phase_cross_correlation, plain": skimage_plain,
    "skimage phase_cross_correlation, masked": skimage_masked,
    "cv2.phaseCorrelate": opencv_phase,
    "cv2.findTransformECC": opencv_ecc,
    "pystackreg": stackreg,
}


def installed() -> str:
    """Return the versions of the packages that are installed."""
    return ", ".join(f"{name} {version(name)}" for name in PACKAGES if any(distributions(name=name)))


def main() -> None:
    """Run from the command line."""
    logging.disable(logging.INFO)
    meta = {"peers": installed()}
    accuracy.main(methods=METHODS, output=FILE, draws=100, description=__doc__, meta=meta)


if __name__ == "__main__":
    main()
