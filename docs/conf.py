"""Settings of the documentation: ``sphinx-build -W docs docs/_build/html``."""

import datetime
import os
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util.docutils import SphinxDirective
from sphinx_astropy.conf.v2 import *  # noqa: F403
from sphinx_astropy.conf.v2 import exclude_patterns, extensions, intersphinx_mapping

from astroreg.cli.program import build_parser
from astroreg.flags import ShiftFlag

# The scripts that make pages: directives for the tables of measured accuracy, and what measures it.
sys.path.insert(0, str(Path(__file__).parent / "scripts"))
extensions += ["accuracy_page", "peers_page", "speed_page", "myst_nb"]

# The width of the texts that the command line prints.
os.environ["COLUMNS"] = "78"

# The tutorials are executed, each in a folder of its own, and a cell that fails is a failure of the build.
# Where this variable is set, they would draw into the void.
os.environ.pop("MPLBACKEND", None)
nb_execution_mode = "auto"
nb_execution_in_temp = True
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_ipywidgets_js = {}
myst_enable_extensions = ["dollarmath"]
myst_update_mathjax = False

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

# Equations are written as MathML when the pages are made: they can be read without the network too.
extensions.remove("sphinx.ext.mathjax")
html_math_renderer = "mathml"
exclude_patterns += ["_build", "scripts", "data", "**.ipynb_checkpoints"]
numpydoc_xref_param_type = False
# Attributes of the result classes are listed once, by their docstring.
automodsumm_inherited_members = False
html_title = f"astroreg {release}"
# All pages in the side bar; the theme would put the first few into the top line.
html_theme_options = {"navbar_center": [], "icon_links": []}
html_sidebars = {"**": ["globaltoc.html"], "index": []}
html_static_path = ["static"]
html_css_files = ["wide.css"]
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


class CommandHelp(SphinxDirective):
    """``.. command-help:: align`` writes what ``astroreg align --help`` prints."""

    required_arguments = 1

    def run(self):
        (commands,) = (action for action in build_parser()._actions if action.dest == "command")
        text = commands.choices[self.arguments[0]].format_help()
        return [nodes.literal_block(text, text, language="none")]


def write_inline_math(writer, node):
    writer.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def write_display_math(writer, node):
    # What Sphinx's own renderer does: lines that are aligned at "&" need an environment.
    text = node.astext()
    if "\\\\" in text or "&" in text:
        text = rf"\begin{{aligned}}{text}\end{{aligned}}"
    style = "text-align: center; margin: 1.2em 0; padding: 0.3em 0; overflow-x: auto"
    writer.body.append(writer.starttag(node, "div", CLASS="equation", STYLE=style))
    writer.body.append(tex2mathml(text, as_block=True))
    writer.body.append("</div>")
    raise nodes.SkipNode


def setup(app):
    app.add_directive("flag-table", FlagTable)
    app.add_directive("command-help", CommandHelp)
    app.add_html_math_renderer("mathml", (write_inline_math, None), (write_display_math, None))
