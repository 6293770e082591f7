"""`measure`: several methods on one prepared pair, and how far they agree."""

from __future__ import annotations

import copy
import dataclasses
import functools
import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import NDData
from astropy.table import QTable

import astroreg.prepared
from astroreg.exceptions import AstroregWarning
from astroreg.flags import ShiftFlag
from astroreg.measure import Measurement, measure
from astroreg.methods import chi2_shift, cross_correlation_shift, register_images
from astroreg.results import ShiftResult
from astroreg.simulation import simulate_pair

METHODS = (chi2_shift, register_images, cross_correlation_shift)
NAMES = [method.__name__ for method in METHODS]


@pytest.fixture(scope="module")
def pair():
    return simulate_pair((96, 96), shift=(3.4, -5.8), rng=3)


@pytest.fixture(scope="module")
def measured(pair):
    return measure(pair.reference, pair.image)


def result(x, y, error=0.1, **changes):
    """A result made by hand: its errors along x and y are equal."""
    return ShiftResult(shift=[x, y], covariance=np.diag([error**2] * 2), **changes)


def noise(rng):
    return rng.normal(size=(40, 40)), rng.normal(size=(40, 40))


def test_results_by_name(measured, pair):
    assert list(measured) == NAMES
    assert len(measured) == 3
    assert measured["chi2_shift"].method == "chi2_shift"
    for one in measured.values():
        # five sigma: once in two million draws
        assert np.all(np.abs(one.shift - pair.shift) < 5 * one.shift_error)
    with pytest.raises(KeyError, match="magic"):
        measured["magic"]


@pytest.mark.parametrize("method", METHODS)
def test_the_numbers_are_those_of_the_method_alone(measured, pair, method):
    alone = method(pair.reference, pair.image)
    together = measured[method.__name__]
    assert np.array_equal(alone.shift, together.shift)
    assert np.array_equal(alone.covariance, together.covariance)
    assert alone.flags == together.flags


def test_the_coarse_search_is_made_once(pair, monkeypatch):
    calls = []
    search = astroreg.prepared.search

    def counted(*arguments):
        calls.append(arguments)
        return search(*arguments)

    monkeypatch.setattr(astroreg.prepared, "search", counted)
    measure(pair.reference, pair.image)
    assert len(calls) == 1


def test_methods_are_chosen_and_ordered(pair):
    assert list(measure(pair.reference, pair.image, methods=METHODS[:0:-1])) == NAMES[:0:-1]
    assert list(measure(pair.reference, pair.image, methods=chi2_shift)) == ["chi2_shift"]
    named = measure(pair.reference, pair.image, methods={"mine": register_images})
    assert named["mine"].method == "register_images"
    assert list(named.to_table()["method"]) == ["mine"]


def test_any_other_callable_gets_nddata_and_the_options(pair):
    seen = {}

    def mine(reference, image, **options):
        seen.update(options, reference=reference, image=image)
        return result(1, 2)

    found = measure(
        pair.reference, pair.image, methods=[mine], max_shift=9, boundary="overlap", fit_scale=False
    )
    assert np.array_equal(found["mine"].shift.value, [1, 2])
    assert isinstance(seen["reference"], NDData) and isinstance(seen["image"], NDData)
    assert np.array_equal(seen["image"].data, pair.image.data)
    assert np.array_equal(seen["image"].uncertainty.array, pair.image.uncertainty.array**2)  # a variance
    assert seen["image"].mask is None  # that of the pair is False everywhere
    assert seen["image"].wcs is pair.image.wcs
    assert seen["max_shift"] == 9
    assert (seen["fit_scale"], seen["fit_background"]) == (False, True)
    assert (seen["boundary"], seen["uncertainty"], seen["min_overlap"]) == ("overlap", "attached", 0.1)


def test_a_partial_is_named_by_its_keywords(pair, measured):
    coarse = functools.partial(register_images, upsample_factor=10)
    found = measure(pair.reference, pair.image, methods=[register_images, coarse])
    name = "register_images(upsample_factor=10)"
    assert list(found) == ["register_images", name]
    # The finest samples are twenty times as dense as those asked for.
    samples = found[name].shift.value * 20 * 10
    assert np.allclose(samples, np.round(samples))
    assert np.array_equal(found["register_images"].shift, measured["register_images"].shift)


def test_a_method_may_be_given_keyword_options_of_files(tmp_path, pair):
    hdus = fits.HDUList([fits.PrimaryHDU(np.zeros((20, 20))), fits.ImageHDU(pair.image.data, name="SCI")])
    hdus.writeto(tmp_path / "a.fits")
    data = NDData(pair.reference.data)
    by_file = measure(data, tmp_path / "a.fits", image_hdu="SCI", methods=[chi2_shift])
    by_array = measure(data, pair.image.data, methods=[chi2_shift])
    assert np.array_equal(by_file["chi2_shift"].shift, by_array["chi2_shift"].shift)
    assert by_file["chi2_shift"].image_label == f"{tmp_path / 'a.fits'}[SCI,1]"


@pytest.mark.parametrize(
    ("methods", "error", "words"),
    [
        ((), ValueError, "`methods` is empty; give at least one"),
        ((chi2_shift, chi2_shift), ValueError, "`methods` has two of one name"),
        (("chi2_shift",), TypeError, "`methods` holds 'chi2_shift', which cannot be called"),
        ((lambda *images, **options: (1, 2),), TypeError, "must return a ShiftResult, got a tuple"),
    ],
)
def test_impossible_methods(pair, methods, error, words):
    with pytest.raises(error, match=words):
        measure(pair.reference, pair.image, methods=methods)


def test_impossible_images_and_options_name_the_argument(pair):
    with pytest.raises(ValueError, match="`reference` has 3 dimensions"):
        measure(np.zeros((3, 8, 8)), pair.image)
    with pytest.raises(ValueError, match="`max_shift` must be finite and > 0"):
        measure(pair.reference, pair.image, max_shift=-1)


def test_the_images_are_not_changed(pair):
    before = copy.deepcopy(pair.image)
    measure(pair.reference, pair.image)
    assert np.array_equal(before.data, pair.image.data, equal_nan=True)
    assert np.array_equal(before.uncertainty.array, pair.image.uncertainty.array)


def test_it_warns_once():
    with pytest.warns(AstroregWarning, match=", ".join(NAMES) + ": NO_SIGNAL") as caught:
        found = measure(*noise(np.random.default_rng(1)))
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert not found.ok
    assert np.isnan(found.largest_disagreement)


def test_warnings_of_a_method_wait_for_that_one(pair):
    def noisy(reference, image, **options):
        warnings.warn("one", AstroregWarning, stacklevel=2)
        return result(0, 0, flags=ShiftFlag.RIVAL_PEAK)

    with pytest.warns(AstroregWarning, match="noisy: RIVAL_PEAK") as caught:
        measure(pair.reference, pair.image, methods=[noisy])
    assert len(caught) == 1


def test_methods_that_disagree_are_not_ok(pair):
    near, far = (functools.partial(lambda r, i, x, **options: result(x, 0), x=x) for x in (0.0, 0.6))
    with pytest.warns(AstroregWarning, match="the methods differ by 6.0 of their errors"):
        found = measure(pair.reference, pair.image, methods={"near": near, "far": far})
    assert not found.ok
    assert all(one.ok for one in found.values())


# ---- agreement ------------------------------------------------------------------------------


def test_agreement_is_the_difference_over_the_larger_error():
    found = Measurement({"a": result(1, 1, 0.1), "b": result(1.2, 1.1, 0.4), "c": result(1, 1.3, 0.1)})
    # a-b: 0.2 / 0.4 along x is more than 0.1 / 0.4; a-c: 0.3 / 0.1; b-c: 0.2 / 0.4 both
    assert found.agreement == pytest.approx({("a", "b"): 0.5, ("a", "c"): 3.0, ("b", "c"): 0.5})
    assert found.largest_disagreement == pytest.approx(3.0)


def test_agreement_without_noise():
    found = Measurement({"a": result(1, 1, 0), "b": result(1, 1, 0), "c": result(1, 2, 0)})
    assert found.agreement == {("a", "b"): 0.0, ("a", "c"): np.inf, ("b", "c"): np.inf}


def test_what_is_not_determined_agrees_with_nothing():
    found = Measurement({"a": result(1, 1), "b": result(np.nan, np.nan, np.nan), "c": result(1, 1.1)})
    assert np.isnan(found.agreement["a", "b"])
    assert found.largest_disagreement == pytest.approx(1.0)
    assert not found.ok
    assert "a and b" not in str(found)


def test_one_method_has_nothing_to_agree_with():
    found = Measurement({"a": result(1, 1)})
    assert found.agreement == {}
    assert np.isnan(found.largest_disagreement)
    assert found.ok


# ---- what people see ------------------------------------------------------------------------


def test_table_round_trips(measured, tmp_path):
    table = measured.to_table()
    table.write(tmp_path / "t.ecsv")
    again = QTable.read(tmp_path / "t.ecsv")
    assert list(again["method"]) == NAMES
    for name in ("dx", "dy", "dx_error", "lon", "lat_error", "scale", "background"):
        assert np.array_equal(again[name], table[name])
        assert again[name].unit == table[name].unit
    assert again["dx"].unit == u.pixel
    assert list(again["ok"]) == [True] * 3
    first = again.meta["agreement_sigma"][0]
    assert first[:2] == NAMES[:2]
    assert first[2] == measured.agreement[NAMES[0], NAMES[1]]


def test_table_of_results_some_of_which_are_unknown():
    known = result(1, 1, scale=2 * u.Jy / u.adu, background=3 * u.Jy)
    table = Measurement({"a": result(np.nan, np.nan, np.nan), "b": known}).to_table()
    assert table["scale"].unit == u.Jy / u.adu
    assert np.isnan(table["scale"][0])
    assert table["background"][1] == 3 * u.Jy


def test_words(measured):
    lines = str(measured).splitlines()
    assert lines[0].split("  ")[0] == "method"
    assert "lon (arcsec, icrs)" in lines[0]
    assert [line.split()[0] for line in lines[1:4]] == NAMES
    assert all(line.split()[2] == "+-" for line in lines[1:4])
    assert sum("of the larger error" in line for line in lines) == 3
    assert repr(measured) == f"<Measurement {', '.join(NAMES)}>"


def test_words_name_every_flag_once():
    flagged = result(1, 1, flags=ShiftFlag.RIVAL_PEAK)
    text = str(Measurement({"a": flagged, "b": flagged, "c": result(1, 1)}))
    assert text.count("flag RIVAL_PEAK: Another shift") == 1
    assert "lon" not in text  # there is no sky


def test_html_is_escaped():
    html = Measurement({"<script>": result(1, 1)})._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "1.00 ± 0.10" in html


def test_plot_has_a_point_a_method():
    figure = pytest.importorskip("matplotlib.figure").Figure()
    ax = figure.add_subplot()
    Measurement({"one": result(1, 1), "two": result(1.1, 1)}).plot(ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one", "two"]


def test_it_is_frozen(measured):
    with pytest.raises(dataclasses.FrozenInstanceError, match="results"):
        measured.results = {}
