"""Real Fourier transforms of one canvas: frequencies, sub-pixel shifts, derivatives, fine sampling."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property, lru_cache

import numpy as np
from numpy.polynomial import chebyshev
from scipy import fft

# Threads cost more than they gain on small canvases; they never change a result.
_PIXELS_WORTH_A_THREAD = 200_000
# Canvases up to this size are used again and again, for time series: their frequencies are kept.
_PIXELS_KEPT = 400_000
# Bins of the length of the frequency, up to the corner of the plane: profiles are looked up in them.
RADIAL_BINS = 1024
_LONGEST_RADIUS = np.sqrt(0.5)
# Matrix products of up to this many terms stay in the thread that asks for them: those that linear algebra
# wakes would go on looking for work while transforms need the cores.
ONE_THREAD = 1 << 18


# How many threads the work in hand may have where others are at work beside it; 0 for all.
_at_hand: ContextVar[int] = ContextVar("threads at hand", default=0)


def threads_at_hand() -> int:
    """Return how many threads one registration may have: as many as there are processors, or what is left."""
    return _at_hand.get() or os.cpu_count() or 1


@contextmanager
def limited_threads(count: int) -> Iterator[None]:
    """Leave what is done within, in this thread, no more than `count` threads."""
    token = _at_hand.set(count)
    try:
        yield
    finally:
        _at_hand.reset(token)


def workers_for(shape: tuple[int, int]) -> int:
    """Return how many threads a transform of `shape` is worth."""
    return threads_at_hand() if shape[0] * shape[1] > _PIXELS_WORTH_A_THREAD else 1


def good_length(n: int) -> int:
    """Return the next length >= `n` that transforms fast."""
    return fft.next_fast_len(int(n), real=True)


def in_one_thread(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the product of a large matrix and a narrow one, or a vector."""
    if second.ndim == 1:
        return np.einsum("ij,j->i", first, second)
    # A complex term is four real ones.
    rows = max(1, ONE_THREAD // max(1, second.size * (4 if second.dtype.kind == "c" else 1)))
    parts = [first[n : n + rows] @ second for n in range(0, len(first), rows)]
    return np.concatenate(parts)


def power_of(spectrum: np.ndarray) -> np.ndarray:
    """Return the squared modulus."""
    power = spectrum.real**2
    power += spectrum.imag**2
    return power


def _ramp(k, position):
    """Return exp(2 pi i k position), a cosine at the Nyquist frequency, whose sign is not known."""
    ramp = np.exp((2j * np.pi) * np.asarray(k, float) * position)
    np.copyto(ramp.imag, 0, where=np.abs(k) == 0.5)
    return ramp


@lru_cache(maxsize=8)
def _kept_grid(shape, dtype):
    return FourierGrid(shape, dtype)


def fourier_grid(shape: tuple[int, int], dtype) -> FourierGrid:
    """Return the frequencies of a canvas; those of a few small ones are kept for the next call."""
    shape, dtype = tuple(int(n) for n in shape), np.dtype(dtype)
    return (_kept_grid if np.prod(shape) <= _PIXELS_KEPT else FourierGrid)(shape, dtype)


class FourierGrid:
    """The half-plane of frequencies of real arrays of one shape.

    Parameters
    ----------
    shape : tuple of int
        (ny, nx) of the arrays.
    dtype : dtype
        Their precision, float32 or float64.
    """

    def __init__(self, shape: tuple[int, int], dtype=np.float64):
        self.shape = tuple(int(n) for n in shape)
        self.dtype = np.dtype(dtype)
        ny, nx = self.shape
        self.ky = fft.fftfreq(ny)[:, None].astype(self.dtype)
        self.kx = fft.rfftfreq(nx)[None, :].astype(self.dtype)
        self._patch = 0.0, ()  # reach and waves of the last patch

    @property
    def workers(self) -> int:
        """Threads of a transform."""
        return workers_for(self.shape)

    @cached_property
    def k2(self) -> np.ndarray:
        """Squared length of the frequency, in cycles^2 per pixel^2."""
        return self.ky**2 + self.kx**2

    @cached_property
    def radial_bin(self) -> np.ndarray:
        """Index of each frequency among `RADIAL_BINS` equal bins of its length."""
        bins = np.sqrt(self.k2)
        bins *= RADIAL_BINS / _LONGEST_RADIUS
        return np.minimum(bins, RADIAL_BINS - 1).astype(np.int16)

    @cached_property
    def radial_counts(self) -> np.ndarray:
        """Number of frequencies of the whole plane in each radial bin."""
        return self.radial_sums(np.ones((1, 1), self.dtype))

    def radial_sums(self, values: np.ndarray) -> np.ndarray:
        """Return the sums over the whole plane of real `values` of the half-plane, a radial bin each."""
        weighted = np.broadcast_to(values * self.multiplicity, self.k2.shape)
        return np.bincount(self.radial_bin.ravel(), weighted.ravel(), RADIAL_BINS)

    @cached_property
    def multiplicity(self) -> np.ndarray:
        """How many terms of the whole plane a column of the half-plane stands for, shape (1, nx/2 + 1)."""
        nx = self.shape[1]
        m = np.full((1, self.kx.size), 2.0, self.dtype)
        m[0, 0] = 1
        if nx % 2 == 0:
            m[0, -1] = 1
        return m

    @cached_property
    def odd_angular(self) -> tuple[np.ndarray, np.ndarray]:
        """Angular frequencies (x, y), radian per pixel, for odd functions of them.

        A Nyquist term is 0: the sine that its derivative would be vanishes on the grid.
        """
        return tuple(np.where(np.abs(k) == 0.5, 0, 2 * np.pi * k) for k in (self.kx, self.ky))

    @cached_property
    def _gradient_factors(self) -> tuple[np.ndarray, np.ndarray]:
        complex_type = np.result_type(self.dtype, np.complex64)
        return tuple((1j * k).astype(complex_type) for k in self.odd_angular)

    def forward(self, array: np.ndarray) -> np.ndarray:
        """Return the half-plane transform of a real array."""
        return fft.rfft2(array, workers=self.workers)

    def inverse(self, spectrum: np.ndarray, *, keep: bool = True) -> np.ndarray:
        """Return the real array of a half-plane transform; `spectrum` may be overwritten unless kept."""
        workers = self.workers
        if spectrum.size < _PIXELS_WORTH_A_THREAD // 2:
            return fft.irfft2(spectrum, s=self.shape, workers=workers)
        rows = fft.ifft(spectrum, axis=0, overwrite_x=not keep, workers=workers)
        return fft.irfft(rows, n=self.shape[1], axis=1, overwrite_x=True, workers=workers)

    def phase(self, shift) -> np.ndarray:
        """Return the factor that moves the content by `shift` (x, y) pixels."""
        # The outer product of two short vectors: no transcendental function on the whole plane.
        complex_type = np.result_type(self.dtype, np.complex64)
        x, y = _ramp(self.kx, -float(shift[0])), _ramp(self.ky, -float(shift[1]))
        return x.astype(complex_type) * y.astype(complex_type)

    def gradient(self, spectrum: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the x and y derivatives, as arrays, of the content of `spectrum`."""
        return tuple(self.inverse(spectrum * factor, keep=False) for factor in self._gradient_factors)

    def sums(self, cross: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the sums over the canvas of f g and of f grad(g), x and y, from conj(F) G."""
        kx, ky = (k.ravel().astype(float) for k in self.odd_angular)
        share = self.multiplicity.ravel().astype(float) / (self.shape[0] * self.shape[1])
        columns = cross.sum(0, dtype=complex)
        rows = np.einsum("ij,j->i", cross.imag, self.multiplicity.ravel()).astype(float)
        along = ky @ rows / (self.shape[0] * self.shape[1])
        return float(share @ columns.real), -np.array([(share * kx) @ columns.imag, along])

    def dot(self, a: np.ndarray, b: np.ndarray) -> float:
        """Return sum(f g) over the canvas, from the transforms a of f and b of g."""
        edge = slice(0, 1) if self.shape[1] % 2 else slice(0, None, self.kx.size - 1)
        total = 2 * _real_product(a, b)
        # The columns of the half-plane that have no mirror image.
        total -= _real_product(*(np.ascontiguousarray(x[:, edge]) for x in (a, b)))
        return total / (self.shape[0] * self.shape[1])

    def sample(self, spectrum: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the band-limited content of `spectrum` at every pair of positions, shape (len(y), len(x)).

        A matrix-multiply transform (Guizar-Sicairos, Thurman & Fienup 2008, doi:10.1364/OL.33.000156):
        the cost is that of the samples asked for, whatever their spacing. In the precision of `spectrum`;
        Nyquist terms are taken as cosines.
        """
        return self._seen(spectrum, *self._waves(x, y, spectrum.dtype))

    def _waves(self, x, y, dtype):
        """Return the waves of all frequencies at some x, and those at some y, transposed."""
        columns = _ramp(self.kx.ravel()[:, None], np.asarray(x, float)) * self.multiplicity.T
        rows = _ramp(self.ky.ravel(), np.asarray(y, float)[:, None])
        return columns.astype(dtype), rows.astype(dtype).T

    def _seen(self, spectrum, columns, rows):
        """Return the content of a spectrum where the waves are known."""
        seen = in_one_thread(in_one_thread(spectrum, columns).T, rows).T
        return seen.real / (self.shape[0] * self.shape[1])

    def patch(self, spectrum: np.ndarray, reach: float):
        """Return a function (x, y) -> content of `spectrum` there, up to `reach` pixels from zero.

        Notes
        -----
        The content is sampled once, at Chebyshev points, and joined by the polynomial through them, which
        for waves no shorter than two pixels is exact to rounding: samples may then be as dense as one likes.
        """
        # A wave of phase p over the reach needs some e p / 2 + 12 terms for twelve digits.
        nodes, inverse = _interpolation(int(np.ceil(1.4 * np.pi * reach)) + 12)
        known, waves = self._patch
        if known != reach:
            waves = self._waves(nodes * reach, nodes * reach, complex)
            self._patch = reach, waves
        coefficients = inverse @ self._seen(spectrum.astype(complex), *waves) @ inverse.T

        def evaluate(x, y):
            both = _polynomials(np.concatenate([y, x]) / reach, nodes.size)
            return both[: len(y)] @ coefficients @ both[len(y) :].T

        return evaluate


@lru_cache(maxsize=8)
def _interpolation(n):
    """Return n Chebyshev points, and the matrix from values there to the coefficients of the polynomial."""
    nodes = chebyshev.chebpts1(n)
    return nodes, np.linalg.inv(_polynomials(nodes, n))


def _polynomials(x, n):
    """Return the first n Chebyshev polynomials at every x between -1 and 1, a row each."""
    return np.cos(np.arccos(np.clip(x, -1, 1))[:, None] * np.arange(n))


def _real_product(a, b):
    """Return the sum of Re(a conj(b))."""
    real = np.empty(0, a.dtype).real.dtype
    return float(np.einsum("i,i->", *(np.ascontiguousarray(x).ravel().view(real) for x in (a, b))))
