"""Every argument of every public function, given nonsense: refused by name, or taken for what it is.

What is refused is told by a TypeError or ValueError that names the argument, or by an OSError about a file;
never by an error or a warning from inside another library. `test_bad_input.py` says what each value gets.
"""

from __future__ import annotations

import inspect
import warnings
from itertools import islice

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

import astroreg
from astroreg import AstroregWarning, calibration, resample, simulation, transform
from astroreg.inputs import as_frame
from astroreg.stack import align_stack


class Odd:
    """Something that nothing can use."""

    def __repr__(self):
        return "Odd()"


PLACE = SkyCoord(83.8 * u.deg, -5.4 * u.deg)

# Nothing takes these.
NONSENSE = (Odd(), 1j, b"x", 3 * u.s, [1 * u.s, "a", None])
# Some arguments take some of these.
DOUBTFUL = (
    None, True, 0, -3, 2.5, np.nan, np.inf, "nonsense", "", [], [1, 2], (0, 0), (-1, 5), ("a", "b"), {},
    np.ones((3, 3)), np.array([1.0, np.nan]), -1 * u.arcsec, np.nan * u.arcsec, [1, 2] * u.pix,
    PLACE, WCS(naxis=2), fits.Header(), lambda *args, **kwargs: None,
)  # fmt: skip

# Names of groups may be anything; a name for messages; the frame of a table that tells its own.
TAKES_ALL = {"align_stack.groups", "beam_of.argument", "from_table.frame"}
# Told under another name: what the caller of `beam_of` calls it, the HDU of a file, the other of a pair.
OTHER_NAMES = {
    "beam_of.source": "`beam`",
    "align.image_beam": "`reference_beam`",
    "align.match_beams": "`reference_beam`",
    "align.image_psf": "`reference_psf`",
    "align.reference_psf": "`image_psf`",
    "register_series.images": "`image",
    "align_stack.images": "`reference` cannot be used",
    "correct_wcs.wcs": "the WCS has no pair of celestial axes",
    "from_shift.wcs": "the WCS has no pair of celestial axes",
    "correct_header.header": "the WCS has no pair of celestial axes",
    "update_header.header": "the WCS has no pair of celestial axes",
}
# Functions that draw, and rooms whose tests have tables of their own.
ELSEWHERE = {"plot_compare_methods"}
OTHER_ROOMS = {"tiles", "cubes", "spectra", "sources"}


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """A call of every function that works: its arguments by name."""
    folder = tmp_path_factory.mktemp("calls")
    pair = simulation.simulate_pair((20, 22), shift=(1.2, -0.7), rng=1)
    reference, image = pair.reference, pair.image
    path, other = folder / "image.fits", folder / "reference.fits"
    image.write(path)
    reference.write(other)
    result = astroreg.register_images(reference, image)
    correction, header = result.sky_correction, fits.getheader(path)
    corrected = astroreg.correct_file(path, correction, folder / "corrected.fits")
    frames = {"reference": as_frame(reference, argument="x"), "image": as_frame(image, argument="x")}
    y, x = np.mgrid[-4:5, -4:5]
    psfs = [np.exp(-0.5 * (x**2 + y**2) / width**2) for width in (1.2, 1.8)]
    sky = simulation.SphericalSky(radius=20 * u.arcsec, smallest=3 * u.arcsec, rng=1)
    both, few = (
        {"reference": reference, "image": image},
        {"methods": [astroreg.register_images], "n_draws": 2},
    )
    methods = (astroreg.chi2_shift, astroreg.register_images, astroreg.cross_correlation_shift)
    beams = {"reference_beam": 3 * u.arcsec, "image_beam": 4 * u.arcsec}
    (folder / "out").mkdir()
    again = {"overwrite": True}
    new = {"output": folder / "new.fits", "overwrite": True}
    return dict(
        [(method, both) for method in methods]
        + [
            (astroreg.measure, both | {"methods": [astroreg.register_images]}),
            (astroreg.register_series, {"reference": reference, "images": [image]}),
            (astroreg.align, both | {"iterations": 1}),
            (align_stack, {"images": [reference, image], "workers": 1, "iterations": 1, "max_shift": 4}),
            (astroreg.correct_wcs, {"wcs": image.wcs, "correction": correction}),
            (astroreg.correct_header, {"header": header, "correction": correction}),
            (astroreg.restore_header, {"header": fits.getheader(corrected)}),
            (astroreg.correct_file, {"path": path, "correction": correction} | new),
            (astroreg.restore_file, {"path": corrected} | new),
            (
                astroreg.apply_correction,
                {"correction": correction, "paths": [other], "out_dir": folder / "out"} | again,
            ),
            (astroreg.SkyCorrection.from_coordinates, {"nominal": PLACE, "true": PLACE}),
            (astroreg.SkyCorrection.from_shift, {"wcs": image.wcs, "shift": (1, 2), "pivot_pixel": (3, 4)}),
            (astroreg.SkyCorrection.from_table, {"table": correction.to_table()}),
            (correction.apply, {"coordinate": PLACE}),
            (correction.compose, {"other": correction}),
            (correction.roll_ambiguity, {"radius": 1 * u.arcmin}),
            (correction.with_roll, {"roll": "zero"}),
            (result.confidence_ellipse, {"level": 0.5}),
            (result.corrected_wcs, {}),
            (result.update_header, {"header": header}),
            (simulation.simulate_pair, {"shape": (12, 12)}),
            (simulation.extended_sky, {"shape": (12, 12)}),
            (simulation.correlated_noise, {"shape": (12, 12)}),
            (simulation.tan_wcs, {"shape": (12, 12)}),
            (simulation.shift_limit, {"sky": pair.sky_image, "sigma_image": 0.1}),
            (simulation.SphericalSky, {"radius": 20 * u.arcsec, "smallest": 3 * u.arcsec}),
            (sky.evaluate, {"coordinates": PLACE}),
            (sky.observe, {"wcs": image.wcs, "fwhm": 3 * u.arcsec, "shape": (8, 8)}),
            (pair.redraw, {}),
            (pair.draws, {"n": 1}),
            (calibration.compare_methods, {"pair": pair} | few),
            (calibration.calibrate, both | few | {"method": astroreg.register_images}),
            (calibration.fitted_pair, both | {"fit": result}),
            (transform.shift_image, {"image": image, "shift": (0.5, 1)}),
            (transform.zoom_image, {"image": image, "factor": 2}),
            (resample.beam_of, {"source": 3 * u.arcsec}),
            (resample.Beam, {"major": 3 * u.arcsec, "minor": 2 * u.arcsec}),
            (resample.match_beams, frames | beams),
            (resample.match_psfs, frames | {"reference_psf": psfs[0], "image_psf": psfs[1]}),
            (resample.matching_kernel, {"psf": psfs[0], "target_psf": psfs[1]}),
            (
                resample.resample_to,
                {"frame": frames["image"], "target_wcs": image.wcs, "target_shape": (9, 9)},
            ),
        ]
    )


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    """Where "nonsense" is the name of an output, it is written here."""
    monkeypatch.chdir(tmp_path)


def names_of(function):
    return [f"{function.__name__}.{name}" for name in inspect.signature(function).parameters]


def refusal(function, arguments):
    """Return the error of a call, or None where it gives an answer; other warnings than ours are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", AstroregWarning)
        try:
            answer = function(**arguments)
            list(islice(answer, 1)) if inspect.isgenerator(answer) else None
        except Exception as error:
            return error
    return None


def is_named(error, full_name):
    """Whether an error is of the announced classes and says which argument it is about."""
    if not isinstance(error, (TypeError, ValueError, OSError)) or isinstance(error, Warning):
        return False
    name = full_name.split(".")[1]
    wanted = [f"`{name}`", f"`{name}=", OTHER_NAMES.get(full_name, f"`{name}`")]
    about_file = isinstance(error, OSError) or "is not a FITS file" in str(error)
    about_hdu = name.endswith("hdu") and "HDU" in str(error)
    about_progress = name == "progress_bar"  # a function that is no progress bar fails in its own words
    return about_file or about_hdu or about_progress or any(one in str(error) for one in wanted)


def sweep(calls, values):
    """Yield (name of the argument, value, error or None) for every argument of every function."""
    for function, usual in calls.items():
        for full_name in names_of(function):
            for value in values:
                yield full_name, value, refusal(function, usual | {full_name.split(".")[1]: value})


def test_the_calls_work(calls):
    for function, arguments in calls.items():
        assert refusal(function, arguments) is None, function


def test_every_function_is_here(calls):
    covered = {function.__name__ for function in calls} | ELSEWHERE
    for module in (astroreg, simulation, calibration, resample, transform):
        functions = {name: getattr(module, name) for name in module.__all__}
        functions = {n: f for n, f in functions.items() if inspect.isfunction(f)}
        here = {n for n, f in functions.items() if f.__module__.split(".")[1] not in OTHER_ROOMS}
        assert here <= covered, module


def test_nonsense_is_refused_by_name(calls):
    wrong = []
    for name, value, error in sweep(calls, NONSENSE):
        if name not in TAKES_ALL and (error is None or not is_named(error, name)):
            wrong.append(f"{name} = {value!r}: {error!r}"[:200])
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("values", [DOUBTFUL[1::6], pytest.param(DOUBTFUL, marks=pytest.mark.slow)], ids=len)
def test_doubtful_values_are_taken_or_refused_by_name(calls, values, record_property):
    outcomes = list(sweep(calls, values))
    refused = [(name, value, error) for name, value, error in outcomes if error is not None]
    wrong = [f"{n} = {v!r}: {e!r}"[:200] for n, v, e in refused if n not in TAKES_ALL and not is_named(e, n)]
    assert not wrong, "\n".join(wrong)
    record_property("functions", len(calls))
    record_property("arguments", len({name for name, *_ in outcomes}))
    record_property("values tried", len(outcomes) + len(NONSENSE) * len({name for name, *_ in outcomes}))
    # Most values are impossible for most arguments: were they taken, nothing would have been tested.
    assert len(refused) > 0.75 * len(outcomes)
