"""How much memory there is, and refusing what cannot fit before anything is allocated."""

from __future__ import annotations

import contextlib
import os

try:
    import resource
except ImportError:  # not on all systems
    resource = None

__all__ = ["memory_limit", "memory_share", "require_memory"]

SHARE = 0.5  # of the memory: the rest is for the system, other programs and what is there already


def memory_limit() -> float:
    """Return the bytes that this process may hold: of the machine, its container or its own limit.

    Returns
    -------
    float
        Infinite where the system does not tell.
    """
    limits = [float("inf")]
    with contextlib.suppress(ValueError, OSError, AttributeError):
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with contextlib.suppress(ValueError, OSError), open("/sys/fs/cgroup/memory.max") as file:
        limits.append(int(file.read()))  # "max" is no number: no limit
    if resource is not None:
        soft = resource.getrlimit(resource.RLIMIT_AS)[0]
        limits.append(float("inf") if soft == resource.RLIM_INFINITY else soft)
    return float(min(limits))


def memory_share() -> float:
    """Return the bytes that one computation may take: half of the memory."""
    return SHARE * memory_limit()


def require_memory(needed: float, what: str, mend: str) -> None:
    """Refuse what needs more than half of the memory.

    Parameters
    ----------
    needed : float
        Bytes at the peak.
    what : str
        What needs them, for the message.
    mend : str
        What to do instead.

    Raises
    ------
    ValueError
        With both figures.
    """
    limit = memory_limit()
    if needed > SHARE * limit:
        figures = f"{needed / 1e9:.3g} GB, more than half of the {limit / 1e9:.3g} GB of memory"
        raise ValueError(f"{what} would need {figures}; {mend}")
