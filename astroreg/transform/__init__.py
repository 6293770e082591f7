"""Shift and zoom an image in Fourier space, with its mask, uncertainty and WCS carried along."""

from astroreg.transform.fourier import shift_image, zoom_image

__all__ = ["shift_image", "zoom_image"]
