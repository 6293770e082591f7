"""What is measured of time and memory, for asv; and `pairs`, the images that it is measured on."""
