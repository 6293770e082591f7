"""The calibration: its table against methods whose errors are known, its bootstrap against the truth."""

import functools
import sys

import matplotlib as mpl
import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import NDData
from astropy.table import QTable

from astroreg import chi2_shift
from astroreg.calibration import calibrate, compare_methods, fitted_pair, plot_compare_methods
from astroreg.calibration.canvas import denoised
from astroreg.flags import ShiftFlag
from astroreg.results import ShiftResult
from astroreg.simulation import extended_sky, simulate_pair
from astroreg.transform import shift_image

TRUTH = np.array([3.37, -5.81])


class Oracle:
    """A method that knows the answer, and errs as it is told."""

    def __init__(self, sigma=(0.01, 0.02), *, bias=(0.0, 0.0), quoted=1.0, fail_every=0, seed=1):
        self.sigma, self.bias, self.quoted = np.array(sigma), np.array(bias), quoted
        self.fail_every, self.calls, self.rng = fail_every, 0, np.random.default_rng(seed)

    def __call__(self, reference, image, *, boundary="overlap"):
        assert boundary == "overlap"
        self.calls += 1
        shift = TRUTH + self.bias + self.sigma * self.rng.standard_normal(2)
        flags = ShiftFlag(0)
        if self.fail_every and self.calls % self.fail_every == 0:
            shift, flags = [np.nan, np.nan] if self.calls % 2 else shift + 40, ShiftFlag.RIVAL_PEAK
        return ShiftResult(shift=shift, covariance=np.diag((self.quoted * self.sigma) ** 2), flags=flags)


def exact(reference, image, *, boundary="overlap"):
    """A method that measures: least squares of the reference about the true shift, one Newton step."""
    dx, dy = TRUTH + [0.01, -0.02]
    h, model = 0.05, {}
    for name, step in {"0": (0, 0), "x+": (h, 0), "x-": (-h, 0), "y+": (0, h), "y-": (0, -h)}.items():
        model[name] = shift_image(reference.data, (dx + step[0], dy + step[1]))
    columns = [(model["x+"] - model["x-"]) / (2 * h), (model["y+"] - model["y-"]) / (2 * h), model["0"]]
    good = np.isfinite(sum(columns)) & np.isfinite(model["x-"] + model["y-"])
    good[:8] = good[-8:] = good[:, :8] = good[:, -8:] = False
    sigma = np.hypot(reference.uncertainty.array[0, 0], image.uncertainty.array[0, 0])
    design = np.array([c[good] for c in columns] + [np.ones(good.sum())]).T / sigma
    found, *_ = np.linalg.lstsq(design, (image.data - model["0"])[good] / sigma, rcond=None)
    covariance = np.linalg.inv(design.T @ design)[:2, :2]
    return ShiftResult(shift=[dx + found[0], dy + found[1]], covariance=covariance, scale=1.0, background=0.0)


@pytest.fixture(scope="module")
def pair():
    return simulate_pair((48, 48), shift=TRUTH, rng=1)


# ---- compare_methods ------------------------------------------------------------------------


def test_the_table_finds_what_the_methods_were_told(pair):
    methods = {"true": Oracle(), "proud": Oracle(quoted=0.5), "biased": Oracle(bias=(0.0, 0.01))}
    n = 400
    table = compare_methods(pair, methods=methods, n_draws=n, rng=1)
    assert isinstance(table, QTable)
    assert list(table["method"]) == ["true", "true", "proud", "proud", "biased", "biased"]
    assert list(table["axis"]) == list("xyxyxy")
    assert (table["n_draws"] == n).all()
    assert (table["gross"] == 0).all()
    assert (table["flagged"] == 0).all()
    # Standard deviations of n draws are good to 1 / sqrt(2 n) = 3.5 %; 4 sigma.
    np.testing.assert_allclose(table["std"].to_value(u.pixel), [0.01, 0.02] * 3, rtol=4 * 0.0354)
    np.testing.assert_allclose(table["mean_error"].to_value(u.pixel)[:3], [0.01, 0.02, 0.005])
    np.testing.assert_allclose(table["ratio"], [1, 1, 0.5, 0.5, 1, 1], rtol=4 * 0.0354)
    np.testing.assert_allclose(table["ratio_error"] / table["ratio"], 1 / np.sqrt(2 * (n - 1)))
    assert (np.abs(table["bias"][:5]) < 4 * table["bias_error"][:5]).all()
    assert abs(table["bias"][5] - 0.01 * u.pixel) < 4 * table["bias_error"][5]
    # A Gaussian is within 1 sigma of its mean with probability 0.683, within half of one 0.383.
    expected = np.array([0.683, 0.683, 0.383, 0.383, 0.683])
    assert (np.abs(table["coverage"][:5] - expected) < 4 * table["coverage_error"][:5]).all()
    np.testing.assert_allclose(table["limit"][:2], pair.limit)
    np.testing.assert_allclose(table["efficiency"], (table["std"] / table["limit"]).value)


def test_gross_failures_are_counted_and_set_aside(pair):
    table = compare_methods(pair, methods={"a": Oracle(fail_every=5)}, n_draws=100, rng=1)
    assert list(table["gross"]) == [20, 20]  # half of them NaN
    assert list(table["flagged"]) == [20, 20]
    assert (table["std"] < 0.05 * u.pixel).all()
    assert np.isnan(table["deviation"][0]).sum() == 10
    lenient = compare_methods(pair, methods={"a": Oracle(fail_every=5)}, n_draws=100, gross=1000, rng=1)
    assert list(lenient["gross"]) == [10, 10]


def test_a_method_that_always_fails_has_no_statistics(pair):
    table = compare_methods(pair, methods={"a": Oracle(fail_every=1)}, n_draws=4, rng=1)
    assert list(table["gross"]) == [4, 4]
    assert np.isnan(table["std"]).all()
    assert np.isnan(table["coverage"]).all()


def test_all_methods_see_the_same_draws_and_a_seed_repeats_them(pair):
    seen = {"a": [], "b": []}

    def spy(name, reference, image, *, boundary):
        seen[name].append(image.data[0, 0])
        return Oracle()(reference, image)

    methods = {name: functools.partial(spy, name) for name in seen}
    compare_methods(pair, methods=methods, n_draws=3, rng=5)
    assert seen["a"] == seen["b"]
    assert len(set(seen["a"])) == 3
    first = list(seen["a"])
    compare_methods(pair, methods=methods, n_draws=3, rng=5)
    assert seen["a"][3:] == first


def test_names_come_from_the_functions(pair):
    methods = [exact, functools.partial(exact, boundary="overlap"), Oracle()]
    table = compare_methods(pair, methods=methods, n_draws=2, rng=1)
    assert list(table["method"][::2]) == ["exact", "exact(boundary='overlap')", "Oracle"]


def test_a_measurement_reaches_the_quoted_error():
    pair = simulate_pair((64, 64), shift=TRUTH, snr=20, index=2, rng=1)
    table = compare_methods(pair, methods=[exact], n_draws=60, rng=2)
    # 60 draws: 9 %; 4 sigma. The step's own noise in the reference's gradients adds a few per cent.
    assert (np.abs(table["ratio"] - 1) < 4 * 0.092).all()
    # It leaves a margin of 8 pixels out, (64 / 48)^2 in variance, and more of the moved edges.
    assert (table["efficiency"] > 0.9).all()
    assert (table["efficiency"] < 2).all()


def test_the_table_can_be_written_and_read(pair, tmp_path):
    table = compare_methods(pair, methods=[Oracle()], n_draws=3, rng=1)
    table.write(tmp_path / "table.ecsv")
    again = QTable.read(tmp_path / "table.ecsv")
    np.testing.assert_allclose(again["deviation"], table["deviation"])
    assert again["std"].unit == u.pixel


@pytest.mark.parametrize("with_tqdm", [True, False])
def test_progress_goes_to_stderr(pair, capsys, monkeypatch, with_tqdm):
    if not with_tqdm:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    table = compare_methods(pair, methods=[Oracle()], n_draws=3, rng=1, progress=True)
    assert np.isfinite(table["deviation"]).all()
    out, err = capsys.readouterr()
    assert out == ""
    # The bar of astropy draws on a terminal only, which stderr is not here.
    assert ("3/3" in err) == with_tqdm


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"n_draws": 0}, "`n_draws` must be"),
        ({"gross": -1.0}, "`gross` must be"),
        ({"methods": []}, "`methods` is empty"),
        ({"methods": [Oracle(), Oracle()]}, "`methods` has two of one name"),
    ],
)
def test_impossible_comparisons(pair, arguments, match):
    with pytest.raises(ValueError, match=match):
        compare_methods(pair, **{"methods": [Oracle()]} | arguments)


# ---- the bootstrap --------------------------------------------------------------------------


def truth_of(pair):
    unit = pair.image.unit / pair.reference.unit
    return ShiftResult(
        shift=pair.shift,
        covariance=np.eye(2),
        scale=pair.scale * unit,
        background=pair.background * pair.image.unit,
    )


@pytest.mark.parametrize(
    "scene",
    [
        {"snr": 3},
        {"snr": 100},
        {"snr": 5, "scale": 1.7, "background": 50.0, "bad_fraction": 0.03},
        {"snr": 10, "index": 2.0, "periodic": True},
        {"snr": 5, "snr_reference": np.inf, "index": 2.0, "shift": (-20.4, 31.7)},
    ],
)
def test_a_fitted_pair_is_like_the_true_one(scene):
    pair = simulate_pair((96, 110), **{"shift": (3.37, -5.81)} | scene, rng=4)
    fitted = fitted_pair(pair.reference, pair.image, truth_of(pair), boundary=pair.boundary)
    # The noise is averaged over both images and over the beam: well below that of one pixel.
    noise = pair.image.uncertainty.array.mean()
    inner = np.s_[4:-4, 4:-4]
    assert (fitted.sky_image - pair.sky_image)[inner].std() < 0.7 * noise
    # The spectrum of one sky instead of its law: a few per cent.
    np.testing.assert_allclose(fitted.limit.value, pair.limit.value, rtol=0.1)
    assert np.array_equal(fitted.image.mask, pair.image.mask)
    draw = fitted.redraw(rng=1)
    good = ~draw.image.mask
    z = ((draw.image.data - fitted.sky_image) / pair.image.uncertainty.array)[good]
    assert abs(z.std() - 1) < 4 / np.sqrt(2 * good.sum())
    np.testing.assert_allclose(fitted.shift, pair.shift)


def test_images_of_different_shape_and_unit():
    pair = simulate_pair((80, 80), shift=TRUTH, snr=20, rng=4)
    reference = NDData((pair.reference.data / 1000) * u.Jy)
    image = NDData(pair.image.data[5:70, 10:] * u.mJy)
    # Cut 10 columns and 5 rows off: the shift is smaller by as many. Without uncertainties the
    # noise is measured.
    fit = ShiftResult(
        shift=TRUTH - [10, 5],
        covariance=np.eye(2),
        scale=1000 * u.mJy / u.Jy,
        background=0 * u.mJy,
        image_shape=(65, 70),
    )
    fitted = fitted_pair(reference, image, fit)
    assert fitted.scale == pytest.approx(1.0)  # the reference is taken in the unit of the image
    assert fitted.sky_image.shape == (65, 70)
    # The high-pass of this beam adds less than 5 % to the noise, and 5200 pixels scatter by 2 %.
    np.testing.assert_allclose(fitted.image.uncertainty.array, 0.05, rtol=0.12)
    inner = np.s_[4:-4, 4:-4]
    assert (fitted.sky_image - pair.sky_image[5:70, 10:])[inner].std() < 0.05


def test_no_fit_no_pair(pair):
    fit = ShiftResult(shift=[np.nan, np.nan], covariance=np.full((2, 2), np.nan))
    with pytest.raises(ValueError, match="`fit` has no finite shift"):
        fitted_pair(pair.reference, pair.image, fit)


def test_a_denoised_sky_has_the_power_of_the_true_one():
    rng = np.random.default_rng(2)
    sky = extended_sky((128, 128), index=2.0, rng=rng)
    clean = denoised(sky + 0.5 * rng.standard_normal(sky.shape), 0.25)
    # The slopes weigh the small scales, of which those below the noise are given up.
    for axis in (0, 1):
        slopes = [np.diff(a, axis=axis)[8:-8, 8:-8].std() for a in (clean, sky)]
        assert slopes[0] == pytest.approx(slopes[1], rel=0.15)
    assert denoised(sky, 0.0) is sky


def test_calibrate_finds_an_honest_method_honest():
    pair = simulate_pair((64, 64), shift=TRUTH, snr=20, index=2, rng=1)
    table = calibrate(pair.reference, pair.image, method=exact, methods=[exact], n_draws=40, rng=2)
    assert (table["gross"] == 0).all()
    assert (np.abs(table["ratio"] - 1) < 4 / np.sqrt(80)).all()
    # The truth of the bootstrap is what was fitted.
    fit = exact(pair.reference, pair.image)
    assert table.meta["shift_x"] == pytest.approx(fit.shift[0].value)


def test_the_classic_demonstration():
    pair = simulate_pair(
        (100, 100), shift=(4.76666, -12.33333), index=2.0, periodic=True, snr_reference=np.inf, rng=3
    )
    n = 40
    table = compare_methods(pair, methods=[chi2_shift], n_draws=n, rng=1)
    assert list(table["gross"]) == [0, 0]
    # A standard deviation of 40 draws is good to 1 / sqrt(80) = 0.11: 4 sigma.
    np.testing.assert_allclose(table["efficiency"], 1.0, atol=4 / np.sqrt(2 * n))
    np.testing.assert_allclose(table["ratio"], 1.0, atol=4 / np.sqrt(2 * n))
    assert (np.abs(table["bias"]) < 4 * table["bias_error"]).all()


def test_all_methods_around_ones_own_images():
    pair = simulate_pair((64, 64), shift=TRUTH, snr=20, rng=1)
    table = calibrate(pair.reference, pair.image, n_draws=6, rng=2)
    assert list(table["method"][::2]) == ["chi2_shift", "register_images", "cross_correlation_shift"]
    assert (table["gross"] == 0).all()
    # Six draws: 0.32; 4 sigma.
    assert (table["efficiency"][:2] < 1 + 4 / np.sqrt(12)).all()


# ---- the figure -----------------------------------------------------------------------------


def test_a_panel_for_each_method(pair):
    with mpl.rc_context({"backend": "agg"}):
        from matplotlib import pyplot as plt

        table = compare_methods(pair, methods={"a": Oracle(), "b": Oracle(fail_every=2)}, n_draws=20, rng=1)
        axes = plot_compare_methods(table)
        assert [ax.get_title().splitlines()[0] for ax in axes] == ["a", "b"]
        assert "10 gross" in axes[1].get_title()
        assert len(axes[0].patches) == 3
        np.testing.assert_allclose(axes[0].lines[0].get_xdata(), table["deviation"][0].value)
        axes[0].figure.canvas.draw()
        same = plot_compare_methods(table[:2], axes=[axes[1]])
        assert same[0] is axes[1]
        with pytest.raises(ValueError, match="`axes` must be 2"):
            plot_compare_methods(table, axes=axes[:1])
        plt.close("all")
