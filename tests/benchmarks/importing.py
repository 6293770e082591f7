"""How long `import astroreg` takes beyond what every astronomer's program has loaded."""


def timeraw_import():
    """Time the import in a new interpreter."""
    return "import astroreg", "import astropy.nddata, astropy.wcs"


timeraw_import.timeout = 120


def timeraw_import_with_astropy():
    """Time the import with the parts of astropy that it needs."""
    return "import astropy.nddata, astropy.wcs, astroreg"


timeraw_import_with_astropy.timeout = 120
