"""The sky that two shifted images show, on the pixels of one of them, with the noise filtered out."""

from __future__ import annotations

import numpy as np
from astropy import units as u
from scipy import fft, ndimage

from astroreg.inpaint import fill_bad
from astroreg.simulation import shift_limit
from astroreg.transform.bandlimited import continued, shift_periodic

__all__ = ["Canvas", "denoised"]

PAD = 16  # pixels of continuation beyond the canvas, against wrapping around


class Canvas:
    """The pixels of the reference, continued to hold all that the image sees.

    Canvas pixel c is reference pixel ``c + origin``; an image pixel p sees reference pixel ``p - shift``.
    """

    def __init__(self, reference_shape, image_shape, shift, *, wrap):
        self.reference_shape, self.image_shape = reference_shape, image_shape
        self.wrap, self.shift = wrap, shift[::-1]  # (y, x) from here on
        low = np.zeros(2, int) if wrap else np.minimum(0, np.floor(-self.shift)).astype(int)
        high = np.maximum(reference_shape, np.ceil(image_shape - self.shift)).astype(int)
        self.origin = low
        self.shape = tuple(reference_shape) if wrap else tuple(high - low)

    def sky(self, first, second, sigmas, scale, background):
        """Return the filtered mean of both images on the canvas, in units of the reference."""
        scaled = (second.data.astype(float) - background) / scale
        planes = [
            self._place(first.data.astype(float), sigmas[0], ~first.valid, np.zeros(2)),
            self._place(scaled, sigmas[1] / scale, ~second.valid, -self.shift),
        ]
        largest = max(sigma.max() for _, sigma, _ in planes)
        # An image without noise outweighs the other by so much that it is the sky.
        floor = 1e-6 * largest if largest > 0 else 1.0
        weights = [np.where(bad, 0.0, 1 / np.maximum(sigma, floor) ** 2) for _, sigma, bad in planes]
        total = sum(weights)
        empty = total == 0
        total[empty] = 1.0
        summed = sum(w * np.where(bad, 0.0, data) for w, (data, _, bad) in zip(weights, planes, strict=True))
        noise = np.median(1 / total[~empty]) if largest > 0 else 0.0
        # Nearest values: the corners that neither image sees would be extrapolated from noise.
        return denoised(fill_bad(summed / total, empty, smooth=False), noise)

    def _place(self, data, sigma, bad, move):
        """Return data, sigma and bad pixels moved by `move` and laid on the canvas."""
        whole = np.rint(move).astype(int)
        data = self._moved(fill_bad(data, bad), move - whole)
        sigma = fill_bad(sigma, bad, smooth=False)
        if (move != whole).any():
            bad = ndimage.binary_dilation(bad, np.ones((2, 2)))
        out = []
        for plane, outside in ((data, 0.0), (sigma, 0.0), (bad, True)):
            if self.wrap:
                out.append(np.roll(plane, whole, axis=(0, 1)))
                continue
            laid = np.full(self.shape, outside, dtype=plane.dtype)
            y, x = whole - self.origin
            # A rounded move may put the outermost row or column beyond the canvas.
            rows, columns = (
                slice(max(o, 0), min(o + n, m)) for o, n, m in zip((y, x), plane.shape, self.shape)
            )
            laid[rows, columns] = plane[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
            out.append(laid)
        return out

    def _moved(self, data, rest):
        if not rest.any():
            return data
        if self.wrap:
            return shift_periodic(data, rest[::-1])
        padded, (y, x) = continued(data, PAD)
        return shift_periodic(padded, rest[::-1])[y : y + data.shape[0], x : x + data.shape[1]]

    def on_reference(self, sky):
        """Return what the reference sees."""
        return self._cut(sky, -self.origin, self.reference_shape)

    def on_image(self, sky):
        """Return what the image sees, in units of the reference."""
        whole = np.rint(self.shift).astype(int)
        return self._cut(self._moved(sky, self.shift - whole), -self.origin - whole, self.image_shape)

    def _cut(self, plane, start, shape):
        if self.wrap:
            return np.roll(plane, -start, axis=(0, 1))
        # Rounding may ask for a row or column beyond the canvas: the last one stands for it.
        rows, columns = (np.clip(np.arange(n) + o, 0, m - 1) for o, n, m in zip(start, shape, plane.shape))
        return plane[np.ix_(rows, columns)]

    def limit(self, seen, first, second, sigmas, scale):
        """Return the limit over what both images see; NaN where that is nothing or without noise."""
        _, sigma, bad = self._place(np.zeros(first.shape), sigmas[0], ~first.valid, np.zeros(2))
        whole = np.rint(self.shift).astype(int)
        sigma, bad = (self._cut(plane, -self.origin - whole, self.image_shape) for plane in (sigma, bad))
        bad = bad | ~second.valid
        if bad.all() or not (sigmas[1] + sigma)[~bad].all():
            return np.full(2, np.nan) * u.pixel
        return shift_limit(seen, sigma_image=sigmas[1], sigma_reference=sigma, scale=scale, mask=bad)


def denoised(sky: np.ndarray, noise: float) -> np.ndarray:
    """Filter a noisy sky so that its power is on average that of the true one.

    ``sqrt(P_sky / P_data)`` in rings of frequency; a Wiener filter would leave too smooth a sky, and
    the limit of its shift too large.

    Parameters
    ----------
    sky : numpy.ndarray
        Sky plus white noise.
    noise : float
        Variance of that noise.

    Returns
    -------
    numpy.ndarray
        The filtered sky.
    """
    if noise == 0:
        return sky
    padded, (y, x) = continued(sky, PAD)
    # The taper keeps the edges, and the continuation beyond them, out of the spectrum.
    window = np.zeros(padded.shape)
    inner = np.s_[y : y + sky.shape[0], x : x + sky.shape[1]]
    window[inner] = np.outer(*(np.hanning(n + 2)[1:-1] for n in sky.shape))
    k = np.hypot(fft.fftfreq(padded.shape[0])[:, None], fft.rfftfreq(padded.shape[1]))
    ring = np.rint(max(padded.shape) * k).astype(int)
    power = np.abs(fft.rfft2((padded - sky.mean()) * window)) ** 2 / (window**2).sum()
    count = np.bincount(ring.ravel())
    mean = np.bincount(ring.ravel(), power.ravel()) / np.maximum(count, 1)
    signal = mean - noise
    # Beyond the first ring that does not stand out of the noise, what is left is its scatter.
    faint = signal < 2 * noise / np.sqrt(np.maximum(count, 1))
    faint[:2] = False  # the largest scales are signal, whatever one mode says
    signal[np.argmax(faint) if faint.any() else signal.size :] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = np.where(mean > 0, np.sqrt(np.clip(signal, 0.0, None) / mean), 0.0)
    gain[0] = 1.0
    return fft.irfft2(fft.rfft2(padded) * gain[ring], s=padded.shape)[inner]
