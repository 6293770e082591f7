"""A result as one self-contained HTML page, for colleagues, referees and the observing log."""

from astroreg.report.page import write_report

__all__ = ["write_report"]
