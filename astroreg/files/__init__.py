"""FITS files: reading images, correcting all headers of an exposure, writing atomically."""

from astroreg.files.atomic import replacing, write_table_atomic, write_text_atomic
from astroreg.files.reading import FileImage, image_from_hdus, open_image

__all__ = [
    "FileImage",
    "image_from_hdus",
    "open_image",
    "replacing",
    "write_table_atomic",
    "write_text_atomic",
]
