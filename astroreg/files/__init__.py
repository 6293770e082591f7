"""FITS files: reading images, correcting all headers of an exposure, writing atomically."""

from astroreg.files.atomic import replacing, write_table_atomic, write_text_atomic
from astroreg.files.correcting import apply_correction, correct_file, restore_file
from astroreg.files.reading import FileImage, image_from_hdus, open_image
from astroreg.files.scamp import write_scamp_head

__all__ = [
    "FileImage",
    "apply_correction",
    "correct_file",
    "image_from_hdus",
    "open_image",
    "replacing",
    "restore_file",
    "write_scamp_head",
    "write_table_atomic",
    "write_text_atomic",
]
