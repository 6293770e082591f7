"""`align_stack`: the corrections of a few exposures, and what is flagged, refused and reported."""

import warnings
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData
from astropy.table import QTable

from astroreg.align import align
from astroreg.exceptions import AstroregWarning
from astroreg.methods import register_images
from astroreg.plotting import plot_shifts
from astroreg.stack import StackFlag, align_stack, describe_stack
from astroreg.stack import pairs as module

SEARCH = {"max_shift": 10, "workers": 1}
# Pulls of eight numbers, at least two of them not free: beyond 4.5 sigma is one chance in 20 000.
FAR = 4.5


@pytest.fixture(scope="module")
def joint(four):
    return align_stack(four.images, reference="joint", **SEARCH)


@pytest.fixture(scope="module")
def star(four):
    return align_stack(four.images, **SEARCH)


def test_joint_corrections_are_the_true_ones(joint, four):
    assert joint.ok
    assert np.abs(four.pulls(joint, four.errors.mean(axis=0))).max() < FAR
    assert len(joint.pairs) == 6
    assert all(joint.used)
    assert joint.dof == 2 * (6 - 3)
    assert 0 < joint.chi2 < 25  # of 6 degrees of freedom: above in one of 3000
    # The limit of each image alone is about 0.01 arcsec; injected was 1 arcsec.
    assert all(0.002 < error < 0.1 for image in joint for error in image.correction.error.value)


def test_mean_of_the_joint_corrections_is_zero(joint):
    # Told at each image's middle, within 10 arcsec of the common pivot: 5e-5 of 1 arcsec and less.
    mean = np.mean([[one.correction.lon.value, one.correction.lat.value] for one in joint], axis=0)
    np.testing.assert_allclose(mean, 0, atol=1e-4)


def test_covariance_of_all_images_together(joint):
    full = joint.covariance.to_value(u.arcsec**2)
    assert full.shape == (8, 8)
    assert joint.solved_groups == (0, 1, 2, 3)
    np.testing.assert_allclose(full, full.T)
    for number, image in enumerate(joint):
        block = full[2 * number : 2 * number + 2, 2 * number : 2 * number + 2]
        np.testing.assert_allclose(image.correction.covariance.value, block, rtol=1e-3, atol=1e-9)


def test_triangles_close(joint):
    closures = joint.to_closures_table()
    assert len(closures) == 4
    assert closures["lon"].unit == u.arcsec
    assert max(closures["chi2"]) < 25  # four of two degrees of freedom: above in one of 70 000
    first = closures[0]
    assert (first["first"], first["second"], first["third"]) == (0, 1, 2)


def test_star_is_align_with_the_reference(star, four):
    found = align(four.images[0], four.images[2], max_shift=10)
    assert len(star.pairs) == 3
    assert star.dof == 0
    # The pivot of `align` is elsewhere; nothing else differs.
    assert star[2].correction.separation.value == pytest.approx(
        found.sky_correction.separation.value, rel=1e-5
    )
    quoted = found.sky_correction.covariance.to_value(u.arcsec**2)
    np.testing.assert_allclose(star[2].correction.covariance.value, quoted, rtol=1e-3)
    np.testing.assert_allclose(star[2].shift.shift.value, found.shift.value, atol=1e-4)
    assert star[0].correction.separation.value == pytest.approx(0, abs=1e-9)
    assert not star[0].correction.covariance.value.any()
    assert np.abs(four.pulls(star, four.errors[0])[1:]).max() < FAR


def test_reference_from_outside(four, star):
    result = align_stack(four.images[1:], reference=four.images[0], **SEARCH)
    assert len(result) == 3
    assert result.reference == "reference"
    assert {pair.reference for pair in result.pairs} == {-1}
    for one, other in zip(result, list(star)[1:], strict=True):
        np.testing.assert_allclose(
            one.correction.rotation_vector, other.correction.rotation_vector, rtol=1e-6, atol=1e-13
        )


def test_groups_get_one_rotation(grouped):
    result = align_stack(grouped.images, reference="joint", groups=["a", "b", "b", "c"], **SEARCH)
    assert result.ok
    assert [image.group for image in result] == [0, 1, 1, 2]
    np.testing.assert_array_equal(result[1].correction.rotation_vector, result[2].correction.rotation_vector)
    assert result.covariance.shape == (6, 6)
    assert (1, 2) not in {(pair.reference, pair.image) for pair in result.pairs}
    assert result.dof == 2 * (5 - 2)
    # Every group counts once in the mean.
    assert np.abs(grouped.pulls(result, grouped.errors[[0, 1, 3]].mean(axis=0))).max() < FAR


def test_images_that_do_not_move_together_are_told(four):
    with pytest.warns(AstroregWarning, match="no trusted correction|contradict"):
        align_stack(four.images, reference="joint", groups=["a", "b", "b", "c"], **SEARCH)


def test_weights_decide_what_stays(four, joint):
    result = align_stack(four.images, reference="joint", weights=[1e9, 1, 1, 1], **SEARCH)
    assert result[0].correction.separation.value < 1e-6
    between = [
        one[2].correction.rotation_vector - one[0].correction.rotation_vector for one in (result, joint)
    ]
    np.testing.assert_allclose(between[0], between[1], atol=1e-12)


def test_corrected_wcs(joint, four):
    assert [type(wcs) for wcs in joint.corrected_wcs()] == [type(image.wcs) for image in four.images]
    middle = [(n - 1) / 2 for n in four.images[0].shape[::-1]]
    wcs = joint[0].corrected_wcs()
    moved = four.images[0].wcs.pixel_to_world(*middle).spherical_offsets_to(wcs.pixel_to_world(*middle))
    np.testing.assert_allclose([one.to_value(u.arcsec) for one in moved], [
        joint[0].correction.lon.value, joint[0].correction.lat.value], atol=1e-8)  # fmt: skip


def test_shift_in_pixels_goes_against_the_correction(joint, four):
    # 1 arcsec pixels, North up: lon grows to the left. The content lies where the sky is not yet.
    lon, lat = joint[1].correction.lon.value, joint[1].correction.lat.value
    np.testing.assert_allclose(joint[1].shift.shift.value, [lon, -lat], atol=1e-3)
    np.testing.assert_allclose(joint[1].shift.shift_error.value, joint[1].correction.error.value, rtol=1e-3)


def test_inputs_are_left_alone(four):
    before = [(image.data.copy(), image.wcs.to_header_string()) for image in four.images]
    align_stack(four.images[:2], **SEARCH)
    for image, (data, header) in zip(four.images, before, strict=True):
        np.testing.assert_array_equal(image.data, data)
        assert image.wcs.to_header_string() == header


def test_a_bad_image_is_flagged_and_left_out(four, joint):
    blank = CCDData(np.full((20, 20), np.nan), unit="adu", wcs=four.images[0].wcs)
    noise = four.images[0].copy()
    noise.data = np.random.default_rng(1).normal(size=noise.shape) * 0.05
    noise.wcs = four.images[0].wcs
    with pytest.warns(AstroregWarning, match="2 of 6 images have no trusted correction: image 4, image 5"):
        result = align_stack([*four.images, blank, noise], reference="joint", **SEARCH)
    assert [image.ok for image in result] == [True] * 4 + [False] * 2
    assert result[4].flags == StackFlag.UNREADABLE
    assert "finite" in result[4].error
    assert result[5].flags == StackFlag.UNCONNECTED
    assert result[5].correction is None
    assert np.isnan(result[5].shift.shift.value).all()
    assert result.corrected_wcs()[4:] == [None, None]
    with pytest.raises(ValueError, match=r"no correction for image 5 \(UNCONNECTED: "):
        result[5].corrected_wcs()
    # The common pivot is another one: rolls differ by 1 arcsec times 10 arcsec.
    for one, other in zip(result, joint):
        np.testing.assert_allclose(
            one.correction.rotation_vector, other.correction.rotation_vector, atol=3e-10
        )
    table = result.to_table()
    assert np.isnan(table["lon"][5])
    assert "image 4: " in str(result)


def test_a_contradicting_pair_is_rejected(four, monkeypatch):
    true = module.align

    def wrong(reference, image, **options):
        found = true(reference, image, **options)
        is_chosen = [np.array_equal(one.data, four.images[n].data) for one, n in ((reference, 0), (image, 2))]
        return replace(found, shift=found.shift + [2, 0] * u.pixel) if all(is_chosen) else found

    monkeypatch.setattr(module, "align", wrong)
    result = align_stack(four.images, reference="joint", **SEARCH)
    refused = [(p.reference, p.image) for p, used in zip(result.pairs, result.used, strict=True) if not used]
    assert refused == [(0, 2)]
    assert [StackFlag.PAIR_REJECTED in image.flags for image in result] == [True, False, True, False]
    assert result.ok
    assert np.abs(four.pulls(result, four.errors.mean(axis=0))).max() < FAR


def test_table_goes_through_ecsv(joint, tmp_path):
    joint.to_table().write(tmp_path / "table.ecsv")
    table = QTable.read(tmp_path / "table.ecsv")
    assert table["image"].tolist() == [f"image {n}" for n in range(4)]
    assert table["lon"].unit == u.arcsec
    assert table["dx"].unit == u.pixel
    np.testing.assert_array_equal(table["lon"].value, [one.correction.lon.value for one in joint])
    assert table["ok"].all()
    assert table.meta["reference"] == "joint"
    assert table.meta["dof"] == 6
    assert len(joint.to_pairs_table()) == 6


def test_sequence_and_text(joint):
    assert len(joint) == len(list(joint)) == 4
    assert str(joint).startswith("4 of 4 images corrected, relative to their mean\nreduced chi2 ")
    assert repr(joint) == "<StackResult: 4 of 4 images corrected, relative to their mean>"


def test_html_of_a_notebook(joint):
    page = joint._repr_html_()
    assert page.startswith("<div><p><strong>4 of 4 images corrected, relative to their mean</strong></p>")
    assert page.count("<tr>") == 5  # a head, and an image each
    assert "±" in page and "<li>6 of 6 pairs used</li>" in page
    hostile = replace(joint.images[0], label="<script>", correction=None, error="<b>")
    page = replace(joint, images=(hostile,) * 41)._repr_html_()
    assert "<script>" not in page and "&lt;script&gt;: &lt;b&gt;" in page
    assert page.count("<tr>") == 41 and "<li>1 more images: to_table() has all</li>" in page


def test_shifts_can_be_drawn(joint):
    matplotlib = pytest.importorskip("matplotlib.figure")
    ax = matplotlib.Figure().add_subplot()
    assert len(plot_shifts(joint.shifts, ax=ax)) == 8  # a bar and an ellipse each
    ax = matplotlib.Figure().add_subplot()
    assert len(joint.plot(ax)) == 8
    assert len(ax.get_legend().get_texts()) == 4
    # The same name four times tells nothing.
    same = replace(joint, images=tuple(replace(image, label=f"{i}/a.fits") for i, image in enumerate(joint)))
    ax = matplotlib.Figure().add_subplot()
    assert len(same.plot(ax)) == 8 and ax.get_legend() is None


def test_method_and_its_options(four):
    method = partial(register_images, upsample_factor=50)
    result = align_stack(four.images[:2], method=method, **SEARCH)
    assert np.abs(four.pulls(result, four.errors[0])[1]).max() < FAR


def test_progress_bar_is_called(four):
    calls = []

    def bar(items, *, total, desc):
        items = list(items)
        calls.append((desc, total, len(items)))
        return items

    align_stack(four.images[:2], progress_bar=bar, **SEARCH)
    assert calls == [("images", 2, 2), ("pairs", 1, 1)]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"reference": 4}, ValueError, "`reference` is 4, but there are 4 images"),
        ({"groups": [1, 2]}, ValueError, "`groups` has 2 names for 4 images"),
        ({"weights": [1, 1, 1, 1]}, ValueError, '`weights` are for reference="joint"'),
        ({"reference": "joint", "weights": [1, 1, 0, 1]}, ValueError, "4 positive numbers"),
        ({"scheduler": "cloud"}, ValueError, "`scheduler` must be 'threads', 'processes' or None"),
        ({"workers": 0}, ValueError, "`workers` must be"),
        ({"neighbours": 0}, ValueError, "`neighbours` must be"),
        ({"min_overlap": 2}, ValueError, "`min_overlap` must be"),
        ({"client": object(), "workers": 2}, ValueError, "`client` has workers of its own"),
    ],
)
def test_impossible_arguments(four, options, error, message):
    with pytest.raises(error, match=message):
        align_stack(four.images, **options)


def test_impossible_images(four):
    with pytest.raises(TypeError, match="`images` must be a sequence"):
        align_stack("exposure.fits")
    with pytest.raises(ValueError, match="`images` is empty"):
        align_stack([])
    with pytest.raises(ValueError, match="needs at least two"):
        align_stack(four.images[:1], reference="joint")
    with pytest.raises(ValueError, match="`reference` cannot be used: FileNotFoundError"):
        align_stack(four.images[:1], reference="missing.fits", workers=1)


def test_a_missing_file_is_flagged(four_files):
    with pytest.warns(AstroregWarning, match="1 of 3 images"):
        result = align_stack([*four_files[:2], "missing.fits"], **SEARCH)
    assert result[2].flags == StackFlag.UNREADABLE
    assert "missing.fits" in result[2].error
    assert result[1].ok


def test_no_warning_where_all_is_well(four):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        align_stack(four.images[:2], **SEARCH)


def test_every_flag_has_a_sentence():
    everything = StackFlag(0)
    for flag in StackFlag:
        assert flag.sentence
        everything |= flag
    assert len(describe_stack(everything)) == len(list(StackFlag)) == 6
    assert not StackFlag.UNRESOLVED.trusted
    assert StackFlag.PAIR_REJECTED.trusted
