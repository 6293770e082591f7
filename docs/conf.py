"""Settings of the documentation: ``sphinx-build -W docs docs/_build/html``."""

import datetime
import os
from importlib.metadata import version as installed_version

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective
from sphinx_astropy.conf.v2 import *  # noqa: F403
from sphinx_astropy.conf.v2 import exclude_patterns, extensions, intersphinx_mapping

from astroreg.flags import ShiftFlag

project = "astroreg"
author = "The astroreg developers"
copyright = f"{datetime.datetime.now(tz=datetime.UTC).year}, {author}"
release = installed_version("astroreg")
version = ".".join(release.split(".")[:2])

# Links into the documentation of other packages need the network; without it their names stay plain text.
# READTHEDOCS is set on the service of this name, ASTROREG_DOCS_LINKS=1 asks for the links elsewhere.
if os.environ.get("READTHEDOCS") == "True" or os.environ.get("ASTROREG_DOCS_LINKS") == "1":
    intersphinx_mapping.pop("pythonloc", None)
    intersphinx_mapping["reproject"] = ("https://reproject.readthedocs.io/en/stable/", None)
    intersphinx_mapping["photutils"] = ("https://photutils.readthedocs.io/en/stable/", None)
else:
    intersphinx_mapping.clear()

extensions += ["sphinx.ext.mathjax"] if "sphinx.ext.mathjax" not in extensions else []
exclude_patterns += ["_build", "**.ipynb_checkpoints"]
numpydoc_xref_param_type = False
# Attributes of the result classes are listed once, by their docstring.
automodsumm_inherited_members = False
html_title = f"astroreg {release}"
html_theme_options = {"navigation_depth": 2, "show_nav_level": 2, "icon_links": []}
htmlhelp_basename = "astroregdoc"
# The date would make two builds of one version differ.
html_last_updated_fmt = None
plot_formats = [("png", 120)]
plot_html_show_source_link = False
plot_html_show_formats = False


class FlagTable(SphinxDirective):
    """``.. flag-table::`` writes every flag with its bit and its sentence, as the package defines them."""

    def run(self):
        lines = [".. list-table::", "   :header-rows: 1", "   :widths: 8 22 12 58", ""]
        rows = [("bit", "name", "trusted", "what it says")]
        for flag in ShiftFlag:
            trusted = "yes" if flag.trusted else "**no**"
            rows.append((str(int(flag)), f"``{flag.name}``", trusted, flag.sentence))
        for row in rows:
            lines += [f"   {'*' if n == 0 else ' '} - {cell}" for n, cell in enumerate(row)]
        container = nodes.Element()
        self.state.nested_parse(StringList(lines, source="astroreg.flags"), self.content_offset, container)
        return container.children


def setup(app):
    app.add_directive("flag-table", FlagTable)
