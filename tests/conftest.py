"""Figures that tests record are printed at the end of the run: inputs tried, kills, growth of memory..."""

from __future__ import annotations


def pytest_terminal_summary(terminalreporter):
    """Print a line for every figure, those of the long tests above all (`pytest -m slow`)."""
    lines = [
        f"{report.nodeid.split('::', 1)[1]}: {name}: {value}"
        for report in terminalreporter.stats.get("passed", [])
        for name, value in report.user_properties
    ]
    if lines:
        terminalreporter.section("figures")
        for line in sorted(lines):
            terminalreporter.line(line)
