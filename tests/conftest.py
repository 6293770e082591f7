"""Figures that tests record are printed at the end of the run: inputs tried, kills, growth of memory..."""

from __future__ import annotations

from collections import Counter


def pytest_terminal_summary(terminalreporter):
    """Print a line for every figure, those of the long tests above all (`pytest -m slow`)."""
    lines, totals = [], Counter()
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            lines.append(f"{report.nodeid.split('::', 1)[1]}: {name}: {value}")
            if isinstance(value, int):
                totals[name] += value
    if lines:
        terminalreporter.section("figures")
        for line in [*sorted(lines), *(f"all tests: {name}: {totals[name]}" for name in sorted(totals))]:
            terminalreporter.line(line)
