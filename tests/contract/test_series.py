"""`register_series`: what many images give at once is what each gives alone."""

import threading
import time
from functools import partial

import numpy as np
import pytest

from astroreg import (
    Reference,
    chi2_shift,
    cross_correlation_shift,
    measure,
    register_images,
    register_series,
    series,
)
from astroreg.estimators.fourier import FourierGrid, limited_threads, threads_at_hand
from astroreg.simulation import simulate_pair


@pytest.fixture(scope="module")
def pair():
    return simulate_pair((60, 66), shift=(1.7, -2.4), snr=20, rng=5)


@pytest.fixture(scope="module")
def images(pair):
    return [draw.image for draw in pair.draws(5, rng=6)]


@pytest.mark.parametrize("threads", [None, 1, 2, 8])
@pytest.mark.parametrize("method", [chi2_shift, register_images, partial(chi2_shift, max_shift=5)])
def test_results_are_those_of_each_image_alone_and_in_order(pair, images, method, threads):
    found = list(register_series(pair.reference, images, method=method, threads=threads))
    alone = [method(pair.reference, image) for image in images]
    assert len(found) == 5
    for one, other in zip(found, alone, strict=True):
        assert np.array_equal(one.shift, other.shift) and np.array_equal(one.covariance, other.covariance)
        assert one.chi2 == other.chi2 and one.flags == other.flags
    # New noise in every draw: no two are the same.
    assert len({float(result.chi2) for result in found}) == 5


def test_large_images_whose_transforms_have_threads_of_their_own():
    pair = simulate_pair((480, 460), shift=(1.7, -2.4), snr=20, rng=5)
    images = [draw.image for draw in pair.draws(3, rng=6)]
    found = list(register_series(pair.reference, images, method=cross_correlation_shift, threads=3))
    for one, image in zip(found, images, strict=True):
        assert np.array_equal(one.shift, cross_correlation_shift(pair.reference, image).shift)


def test_a_reference_is_taken_as_it_is_and_measure_is_a_method(pair, images):
    reference = Reference(pair.reference)
    first = next(register_series(reference, images[:1], method=measure))
    assert np.array_equal(first["chi2_shift"].shift, chi2_shift(pair.reference, images[0]).shift)
    assert reference.frame.kept


def test_no_images_give_nothing(pair):
    assert (
        list(register_series(pair.reference, []))
        == list(register_series(pair.reference, [], threads=3))
        == []
    )


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_images_are_asked_for_when_they_are_needed(pair, images, threads):
    asked = []

    def read():
        for i, image in enumerate(images * 4):
            asked.append(i)
            yield image

    results = register_series(pair.reference, read(), threads=threads)
    assert asked == []
    for given in range(1, 8):
        next(results)
        # Those at work, and one that waits.
        assert len(asked) <= given + threads
    results.close()
    assert len(asked) < 20


def test_so_many_at_once_and_no_more(pair, images):
    at_once, most, lock = [], [], threading.Lock()

    def method(reference, image):
        with lock:
            at_once.append(1)
            most.append(len(at_once))
        assert threads_at_hand() == 1
        time.sleep(0.02)
        with lock:
            at_once.pop()
        return image

    assert list(register_series(pair.reference, images * 2, method=method, threads=3)) == images * 2
    assert 1 < max(most) <= 3


@pytest.mark.parametrize("threads", [1, 2])
def test_an_image_that_cannot_be_used_says_so_in_its_turn(pair, images, threads):
    results = register_series(pair.reference, [images[0], "nowhere.fits", images[1]], threads=threads)
    assert next(results).ok
    with pytest.raises(FileNotFoundError, match=r"there is no file nowhere\.fits") as told:
        next(results)
    assert told.value.__notes__ == ["It was image 1 of the series, counted from 0."]


def test_arguments_are_refused_at_once(pair):
    with pytest.raises(TypeError, match="`method` must be"):
        register_series(pair.reference, [], method="chi2")
    for images in (3, "image.fits", None):
        with pytest.raises(TypeError, match="`images` must be an iterable of images"):
            register_series(pair.reference, images)
    for threads in (0, 1.5, -1):
        with pytest.raises(ValueError, match="`threads`"):
            register_series(pair.reference, [], threads=threads)
    with pytest.raises((TypeError, ValueError), match="`reference`"):
        register_series(object(), [])


def test_how_many_at_once_by_default(monkeypatch):
    monkeypatch.setattr(series, "threads_at_hand", lambda: 8)
    monkeypatch.setattr(series, "memory_share", lambda: 1e9)
    # The interpreter; the processors; 1e9 bytes for 100 bytes a pixel; at least one.
    assert [series._worthwhile(n) for n in (10_000, 10**6, 4 * 10**6, 10**9)] == [1, 8, 2, 1]


def test_threads_at_hand():
    grid, all_of_them = FourierGrid((500, 500)), threads_at_hand()
    array = np.random.default_rng(1).standard_normal((500, 500))
    expected = grid.forward(array)
    with limited_threads(1):
        assert threads_at_hand() == grid.workers == 1
        assert np.array_equal(grid.forward(array), expected)
        seen = []
        other = threading.Thread(target=lambda: seen.append(threads_at_hand()))
        other.start()
        other.join()
        # What one thread is left does not concern another.
        assert seen == [all_of_them]
    assert threads_at_hand() == grid.workers == all_of_them
