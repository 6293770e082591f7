"""Both images on one canvas: every pixel where a loop puts it, and mirrored under a swap."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from astroreg.estimators.overlap import Plane, make_overlap, overlap_extent


def planes(shapes=((14, 17), (12, 20)), bad=0.1, seed=1):
    rng = np.random.default_rng(seed)
    return [Plane(rng.standard_normal(s), rng.uniform(1, 2, s), rng.random(s) > bad) for s in shapes]


WHOLE = [(0, 0), (3, -2), (-4, 5), (9, 7), (-11, -8)]


@pytest.mark.parametrize("whole", WHOLE)
def test_every_pixel_stands_where_it_should(whole):
    """Canvas pixel c is image pixel c + origin and reference pixel c + origin - whole."""
    reference, image = planes()
    overlap = make_overlap(reference, image, whole)
    inside = []
    for (j, i), usable in np.ndenumerate(overlap.usable):
        x, y = i + overlap.origin[0], j + overlap.origin[1]
        at = {"image": (image, y, x), "reference": (reference, y - whole[1], x - whole[0])}
        seen = []
        for name, (plane, row, column) in at.items():
            exists = 0 <= row < plane.shape[0] and 0 <= column < plane.shape[1]
            good = exists and plane.good[row, column]
            assert getattr(overlap, f"has_{name}")[j, i] == good
            assert getattr(overlap, name)[j, i] == (plane.data[row, column] if good else 0)
            if good:
                assert getattr(overlap, f"{name}_variance")[j, i] == plane.variance[row, column]
            seen.append((exists, good))
        if usable:
            assert seen[0][1] and seen[1][1]
        if seen[0][0] and seen[1][0]:
            inside.append((j, i))
    # The box is the overlap, and what counts is good in both and off its outermost rows.
    rows, columns = np.array(inside).T
    assert (overlap.box[0].start, overlap.box[0].stop) == (rows.min(), rows.max() + 1)
    assert (overlap.box[1].start, overlap.box[1].stop) == (columns.min(), columns.max() + 1)
    core = np.zeros(overlap.usable.shape, bool)
    core[rows.min() + 1 : rows.max(), columns.min() + 1 : columns.max()] = True
    assert_array_equal(overlap.usable, overlap.has_reference & overlap.has_image & core)
    assert_array_equal(overlap.hole, core & ~overlap.usable)
    assert overlap.n_pixels == overlap.usable.sum()


@pytest.mark.parametrize("whole", WHOLE)
def test_swapping_the_images_mirrors_the_canvas(whole):
    reference, image = planes()
    there = make_overlap(reference, image, whole)
    back = make_overlap(image, reference, (-whole[0], -whole[1]))
    assert_array_equal(back.reference, there.image)
    assert_array_equal(back.image, there.reference)
    assert_array_equal(back.reference_variance, there.image_variance)
    assert_array_equal(back.usable, there.usable)
    assert_array_equal(back.hole, there.hole)
    assert back.box == there.box


@pytest.mark.parametrize("whole", [(0, 0), (3, -2), (-9, 16)])
def test_a_periodic_reference_is_rolled(whole):
    reference, image = planes(((11, 13), (11, 13)))
    overlap = make_overlap(reference, image, whole, periodic=True)
    good = np.roll(reference.good, (whole[1], whole[0]), (0, 1))
    expected = np.where(good, np.roll(reference.data, (whole[1], whole[0]), (0, 1)), 0)
    assert_array_equal(overlap.reference, expected)
    assert_array_equal(overlap.usable, good & image.good)
    assert overlap.origin == (0, 0)


def test_extent_by_counting():
    for whole in WHOLE:
        (y0, y1), (x0, x1) = overlap_extent((14, 17), (12, 20), whole)
        rows = [y for y in range(12) if 0 <= y - whole[1] < 14]
        columns = [x for x in range(20) if 0 <= x - whole[0] < 17]
        assert (y0, y1 - 1) == (rows[0], rows[-1])
        assert (x0, x1 - 1) == (columns[0], columns[-1])


def test_one_variance_for_all_and_no_mask():
    rng = np.random.default_rng(2)
    plane = Plane(rng.standard_normal((9, 9)).astype(np.float32), 2.5)
    overlap = make_overlap(plane, plane, (1, 0))
    assert plane.count == 81
    assert overlap.reference_variance == overlap.image_variance == 2.5
    assert overlap.image.dtype == np.float32
    # 9 x 8 pixels overlap, of which the outermost ring does not count.
    assert overlap.n_pixels == 7 * 6
