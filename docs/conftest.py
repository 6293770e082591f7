"""The examples of the pages are run in an empty folder, and draw without a screen."""

import pytest

# Run by Sphinx and from the command line; tests/docs has their tests.
collect_ignore = ["scripts"]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """Run an example in a folder of its own."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def no_screen():
    """Draw into memory and forget the figures."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    yield
    from matplotlib import pyplot as plt

    plt.close("all")
