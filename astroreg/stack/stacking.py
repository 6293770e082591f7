"""`align_stack`: look at the images, measure their pairs wherever workers are, solve for all corrections."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from astropy import units as u

from astroreg.checks import (
    argument_named,
    parse_callable,
    parse_choice,
    parse_flag,
    parse_fraction,
    parse_path,
    parse_positive,
)
from astroreg.exceptions import AstroregWarning
from astroreg.inputs import Frame, as_frame, parse_max_shift
from astroreg.methods import chi2_shift
from astroreg.results import ShiftResult
from astroreg.sky.roll import check_roll
from astroreg.stack.assembly import assembled
from astroreg.stack.execution import Runner, check_scheduler, executor
from astroreg.stack.geometry import Layout, common_frame
from astroreg.stack.graph import chosen_pairs
from astroreg.stack.journal import Journal
from astroreg.stack.pairs import PairShift, measure_pair, one_line
from astroreg.stack.progress import check_progress, progress_of
from astroreg.stack.result import StackResult
from astroreg.stack.survey import Survey, forget_frames, survey

__all__ = ["align_stack"]


def align_stack(
    images: Sequence[Any],
    *,
    reference: Any = 0,
    method: Callable[..., ShiftResult] = chi2_shift,
    groups: Sequence[Any] | None = None,
    weights: Sequence[float] | None = None,
    max_shift: float | u.Quantity | None = None,
    min_overlap: float = 0.1,
    neighbours: int = 12,
    uncertainty: str | None = None,
    match_beams: bool = False,
    iterations: int = 3,
    kind: str = "pointing",
    roll: str | u.Quantity = "zero",
    hdu: int | str | tuple | None = None,
    client: Any = None,
    scheduler: str | None = None,
    workers: int | None = None,
    results_file: str | os.PathLike | None = None,
    resume: bool = False,
    progress_bar: Any = None,
) -> StackResult:
    """Find the corrections of the WCS of many images, relative to one of them or to their mean.

    Parameters
    ----------
    images : sequence of path, NDData, CCDData, HDU or (array, WCS or Header)
        The exposures, each with a celestial WCS. Files are opened where they are measured. None is changed.
    reference : int, image or "joint", optional
        The image whose coordinates are right: its place among `images` (default 0, the first), or another
        image. "joint": none is; all pairs that overlap are measured, and the mean of the corrections is zero.
    method : callable, optional
        What measures a shift, as for `astroreg.align` (default `chi2_shift`). For processes and other
        machines it must be a function that can be imported there.
    groups : sequence, optional
        A name for each image: images of one name move together (the chips of one exposure, the bands of one
        visit) and get one correction. Default: every image moves alone.
    weights : sequence of float, optional
        How far the pointing of each image is trusted, for the mean of "joint"; default: all alike.
    max_shift : float or Quantity, optional
        Largest error of one image relative to another: pixels of the image, or an angle.
    min_overlap : float, optional
        Least overlap, by the WCS, of two images that are compared, as a fraction of the smaller one
        (default 0.1).
    neighbours : int, optional
        Pairs an image of a "joint" solution (default 12). Where there are more, those are measured that
        overlap most, and enough to join everything.
    uncertainty : {"attached", "empirical"}, optional
        Whence the errors of pairs, handed to `method`; default: its own.
    match_beams : bool, optional
        Whether the sharper image of a pair is smoothed to the beam of the other (default False).
    iterations : int, optional
        Largest number of passes for a pair (default 3).
    kind : {"pointing", "detector"}, optional
        What moved, as for `astroreg.align`.
    roll : {"zero", "keep-pa"} or Quantity, optional
        The roll, as for `astroreg.align`.
    hdu : int, str or tuple, optional
        Which HDU of every file.
    client : distributed.Client, optional
        Whose workers measure; they must see the files by the same paths.
    scheduler : {"threads", "processes"}, optional
        How this machine measures. Default: threads where dask is installed, else one pair after the other.
    workers : int, optional
        Number of threads or processes; default: that of the processors. 1 measures one pair after the other.
    results_file : path-like, optional
        ECSV file to which every pair is added as soon as it is measured.
    resume : bool, optional
        Whether pairs found in `results_file` are not measured again (default False: it must not exist). An
        image that has changed since is measured.
    progress_bar : callable or bool, optional
        Such as `tqdm.tqdm`: called with an iterable, ``total=`` and ``desc=``. True: tqdm where it is
        installed, else a bar of astropy. Default: none.

    Returns
    -------
    StackResult
        The correction of each image with its covariance, flags, and how well the pairs agree.

    Raises
    ------
    TypeError, ValueError
        If an argument is impossible. An image that is impossible is flagged, not raised.
    FileExistsError
        If `results_file` exists and `resume` is False.
    ImportError
        If `client` or `scheduler` is given and dask is not installed.

    Warns
    -----
    AstroregWarning
        If images are flagged, and if the pairs contradict each other.

    Notes
    -----
    Each correction is a rotation of the sky, two parameters at a common pivot; the pairs give their
    differences, and least squares all of them at once. The errors of pairs that share an image are
    correlated, since the noise of that image moves both: how much follows from where their overlaps coincide,
    and which part of the variance is not shared is measured from the redundancy. Without this, many pairs of
    the same images would seem to make the errors ever smaller. Pairs that contradict the others are left out
    one at a time; the covariance is that of all corrections together.

    Examples
    --------
    >>> from astropy import units as u
    >>> from astroreg.simulation import SphericalSky, tan_wcs
    >>> from astroreg import align_stack
    >>> sky, wcs = SphericalSky(radius=1 * u.arcmin, rng=1), tan_wcs((40, 40))
    >>> images = [sky.observe(wcs, fwhm=3 * u.arcsec, noise=0.02, rng=seed) for seed in range(3)]
    >>> result = align_stack(images, reference="joint", max_shift=4, workers=1)
    >>> result.ok, len(result.pairs), result.dof
    (True, 3, 2)
    """
    check_scheduler(scheduler, client, workers)
    _check(method, kind, roll, uncertainty, max_shift)
    iterations = parse_positive(iterations, argument="iterations", integer=True)
    parse_flag(match_beams, "match_beams")
    parse_flag(resume, "resume")
    if results_file is not None:
        parse_path(results_file, "results_file")
    check_progress(progress_bar)
    neighbours = parse_positive(neighbours, argument="neighbours", integer=True)
    workers = None if workers is None else parse_positive(workers, argument="workers", integer=True)
    min_overlap = parse_fraction(min_overlap, argument="min_overlap")
    images, fixed, count = _with_reference(images, reference)
    numbers = _group_numbers(groups, len(images), count)
    trust = _group_weights(weights, numbers, reference)
    options = {"max_shift": max_shift, "uncertainty": uncertainty, "match_beams": match_beams}
    options |= {"iterations": iterations, "kind": kind, "roll": roll}
    settings = {"method": _name_of(method), "hdu": hdu, **options}
    labels = [_label(image, f"image {index}") for index, image in enumerate(images[:count])]
    labels += [_label(image, "reference") for image in images[count:]]
    with (
        Journal(results_file, settings, resume=resume) as journal,
        executor(scheduler, client, workers) as run,
    ):
        try:
            opened = [_opened(image, hdu) for image in images]
            surveys = _surveyed(run, opened, labels, hdu, progress_bar)
            if fixed is not None and surveys[fixed].error:
                raise ValueError(f"`reference` cannot be used: {surveys[fixed].error}")
            frame, surveys = common_frame(surveys)
            layout = Layout.of(surveys)
            wanted = chosen_pairs(
                layout, numbers, reference=fixed, min_overlap=min_overlap, neighbours=neighbours
            )
            task = (frame, hdu, method, options)
            pairs = _measured(run, opened, surveys, wanted, journal, task, progress_bar)
        finally:
            forget_frames()
    result = assembled(layout, numbers, pairs, fixed=fixed, weights=trust, n_images=count)
    _tell(result)
    return result


def _check(method, kind, roll, uncertainty, max_shift) -> None:
    """Refuse options that every pair would refuse."""
    parse_callable(method, "method", mend="give a method such as chi2_shift")
    parse_choice(kind, ("pointing", "detector"), argument="kind")
    check_roll(roll)
    if uncertainty is not None:
        parse_choice(uncertainty, ("attached", "empirical"), argument="uncertainty")
    if isinstance(max_shift, u.Quantity) and max_shift.unit.is_equivalent(u.rad) and max_shift.isscalar:
        # each image turns the angle into its own pixels
        max_shift = max_shift.to_value(u.rad)
    parse_max_shift(max_shift, None, (1, 1))


def _is_place(reference: Any) -> bool:
    return isinstance(reference, (int, np.integer)) and not isinstance(reference, bool)


def _is_joint(reference: Any) -> bool:
    return isinstance(reference, str) and reference == "joint"


def _with_reference(images: Sequence[Any], reference: Any) -> tuple[list[Any], int | None, int]:
    """Return the images, one from outside behind them; the place of the reference; how many are stacked."""
    if isinstance(images, (str, os.PathLike)) or not hasattr(images, "__iter__"):
        raise TypeError(f"`images` must be a sequence of images, got {type(images).__name__}")
    with argument_named("images", "give a sequence of images"):
        images = list(images)
    if not images:
        raise ValueError("`images` is empty; give at least one image")
    if _is_joint(reference):
        if len(images) < 2:
            raise ValueError('`images` has one image; reference="joint" needs at least two')
        return images, None, len(images)
    if _is_place(reference):
        if not -len(images) <= reference < len(images):
            raise ValueError(f"`reference` is {reference}, but there are {len(images)} images, from 0")
        return images, int(reference) % len(images), len(images)
    return [*images, reference], len(images), len(images)


def _group_numbers(groups: Sequence[Any] | None, total: int, count: int) -> np.ndarray:
    """Return the number of the group of each image, in the order in which they first appear."""
    if groups is None:
        return np.arange(total)
    with argument_named("groups", "give a name for each image"):
        names = list(groups)
        hash(tuple(names))
    if len(names) != count:
        raise ValueError(f"`groups` has {len(names)} names for {count} images; give one for each")
    seen: dict[Any, int] = {}
    numbers = [seen.setdefault(name, len(seen)) for name in names]
    return np.array(numbers + [len(seen)] * (total - count))


def _group_weights(weights, numbers: np.ndarray, reference: Any) -> np.ndarray:
    """Return the weight of each group in the mean: the sum of those of its images."""
    if weights is None:
        return np.ones(numbers.max() + 1)
    with argument_named("weights", "give a positive number for each image"):
        values = np.array(list(weights), float)
    if not _is_joint(reference):
        raise ValueError(
            '`weights` are for reference="joint"; leave them None where one image is the reference'
        )
    if values.shape != numbers.shape or not (np.isfinite(values) & (values > 0)).all():
        raise ValueError(
            f"`weights` must be {len(numbers)} positive numbers, one for each image, got {weights}"
        )
    return np.bincount(numbers, weights=values)


def _name_of(method: Callable) -> str:
    inner = getattr(method, "func", method)  # of a functools.partial
    name = f"{getattr(inner, '__module__', '')}.{getattr(inner, '__qualname__', type(inner).__name__)}"
    return f"{name}{getattr(method, 'args', '')}{getattr(method, 'keywords', '')}"


def _label(image: Any, otherwise: str) -> str:
    if isinstance(image, (str, os.PathLike)):
        return os.fspath(image)
    return getattr(image, "label", "") or otherwise


def _opened(image: Any, hdu: Any) -> Any:
    """Return a path as it is, and what is in memory checked; an error where that fails."""
    if isinstance(image, (str, os.PathLike)):
        return os.path.abspath(image)
    try:
        return as_frame(image, argument="images", hdu=hdu)
    except (TypeError, ValueError) as error:
        return error


def _surveyed(run: Runner, opened: list[Any], labels: list[str], hdu: Any, bar: Any) -> list[Survey]:
    """Look at every image."""
    found: dict[int, Survey] = {
        index: Survey(index, labels[index], error=one_line(image))
        for index, image in enumerate(opened)
        if isinstance(image, Exception)
    }
    tasks = [
        (index, (image, index, labels[index], hdu))
        for index, image in enumerate(opened)
        if index not in found
    ]
    for index, outcome in progress_of(run(survey, tasks), len(tasks), "images", bar):
        failed = isinstance(outcome, Exception)
        found[index] = Survey(index, labels[index], error=one_line(outcome)) if failed else outcome
    return [found[index] for index in range(len(opened))]


def _measured(
    run: Runner, opened: list[str | Frame], surveys: list[Survey], wanted: list[tuple[int, int]],
    journal: Journal, task: tuple, bar: Any,
) -> list[PairShift]:  # fmt: skip
    """Measure the pairs that the journal does not know, and write them down as they come."""
    found: dict[tuple[int, int], PairShift] = {}
    tasks = []
    for pair in wanted:
        identities = surveys[pair[0]].identity, surveys[pair[1]].identity
        known = journal.known.get(identities)
        if known is not None:
            found[pair] = replace(known, reference=pair[0], image=pair[1])
        else:
            tasks.append((pair, (*(opened[index] for index in pair), (*pair, *identities), *task)))
    for pair, outcome in progress_of(run(measure_pair, tasks), len(tasks), "pairs", bar):
        if isinstance(outcome, Exception):
            outcome = PairShift(*pair, *(surveys[index].identity for index in pair), error=one_line(outcome))
        found[pair] = outcome
        journal.add(outcome)
    return [found[pair] for pair in wanted]


def _tell(result: StackResult) -> None:
    """Warn of what must be known before the corrections are used."""
    if result.flagged:
        names = ", ".join(image.label for image in result.flagged[:5])
        more = f" and {len(result.flagged) - 5} more" if len(result.flagged) > 5 else ""
        share = f"{len(result.flagged)} of {len(result)} images"
        warnings.warn(f"{share} have no trusted correction: {names}{more}", AstroregWarning, stacklevel=3)
    if result.dof and result.chi2 > result.dof + 5 * np.sqrt(2 * result.dof):
        text = f"the pairs contradict each other: reduced chi-squared {result.reduced_chi2:.1f}"
        warnings.warn(text, AstroregWarning, stacklevel=3)
