"""Exit statuses of the command line."""

from __future__ import annotations

import enum

__all__ = ["Status"]


class Status(enum.IntEnum):
    """What a command tells the shell."""

    TRUSTED = 0  # an answer that can be trusted
    FAILED = 1  # the message on stderr says why
    USAGE = 2  # wrong usage
    FLAGGED = 3  # an answer that must not be applied without a look

    @classmethod
    def of_several(cls, statuses: list[Status]) -> Status:
        """Return the worst: a failure, else a flag, else all is well."""
        order = (cls.FAILED, cls.USAGE, cls.FLAGGED)
        return next((status for status in order if status in statuses), cls.TRUSTED)
