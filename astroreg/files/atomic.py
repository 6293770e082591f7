"""Writing a file so that it is there completely or not at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from astropy.table import Table

try:
    import fcntl
except ImportError:  # no advisory locks on this system: the writing itself stays atomic
    fcntl = None

__all__ = ["replacing", "write_table_atomic", "write_text_atomic"]

# Names longer than this leave no room for the marks of the temporary file within the usual 255 bytes.
_LONGEST_NAME = 120

# What file systems without locks (some network shares) or without hard links answer.
_UNSUPPORTED = {
    errno.ENOLCK,
    errno.ENOSYS,
    errno.EOPNOTSUPP,
    errno.ENOTSUP,
    errno.EINVAL,
    errno.EPERM,
    errno.EMLINK,
}
_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}
_FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}


@contextlib.contextmanager
def replacing(target: str | os.PathLike, *, overwrite: bool = False, timeout: float = 60.0) -> Iterator[Path]:
    """Give a temporary path to write to, and put it in the place of the target at the end.

    Other processes see the old file, or none, until the new one is complete and on the disk.
    If the block raises, the target stays as it was and the temporary file is removed. A lock
    keeps a second process that writes the same target waiting; what is read within the block
    can therefore not be changed by it in between.

    Parameters
    ----------
    target : str or path-like
        The file to write; a symbolic link is followed.
    overwrite : bool, optional
        Whether an existing file may be replaced; default False.
    timeout : float, optional
        How long, in seconds, to wait for another process that writes the target; default 60.

    Yields
    ------
    Path
        A path in the folder of the target, with its suffixes, at which no file exists.

    Raises
    ------
    FileExistsError
        If the target exists and may not be overwritten.
    TimeoutError
        If another process goes on writing the target.
    OSError
        If the folder is missing or not writable, the disk is full, or the target is not a plain
        file.
    """
    target = _checked_target(target, overwrite)
    with _named_errors(target), _locked(target, timeout) as is_locked:
        _checked_target(target, overwrite)  # it may have come into being while we waited
        if is_locked:
            _remove_leftovers(target)
        temporary = _temporary_path(target)
        try:
            yield temporary
            _publish(temporary, target, overwrite)
        finally:
            temporary.unlink(missing_ok=True)


def write_text_atomic(target: str | os.PathLike, text: str, *, overwrite: bool = False) -> Path:
    """Write a text, in UTF-8, completely or not at all.

    Parameters
    ----------
    target : str or path-like
        The file to write.
    text : str
        What to write.
    overwrite : bool, optional
        Whether an existing file may be replaced; default False.

    Returns
    -------
    Path
        The file written.
    """
    with replacing(target, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return Path(target)


def write_table_atomic(
    target: str | os.PathLike,
    table: Table,
    *,
    table_format: str = "ascii.ecsv",
    overwrite: bool = False,
) -> Path:
    """Write a table completely or not at all.

    Parameters
    ----------
    target : str or path-like
        The file to write.
    table : `~astropy.table.Table`
        What to write.
    table_format : str, optional
        A format of `astropy.table.Table.write`; default ``"ascii.ecsv"``, which keeps the units.
    overwrite : bool, optional
        Whether an existing file may be replaced; default False.

    Returns
    -------
    Path
        The file written.
    """
    with replacing(target, overwrite=overwrite) as temporary:
        table.write(temporary, format=table_format)
    return Path(target)


def _checked_target(target: str | os.PathLike, overwrite: bool) -> Path:
    path = Path(os.path.realpath(target))
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise FileNotFoundError(
                errno.ENOENT,
                f"the folder {path.parent} does not exist; make it first",
                os.fspath(target),
            ) from None
        return path
    if not stat.S_ISREG(mode):
        # os.replace would put a plain file in the place of a device
        raise OSError(f"{target} exists and is not a plain file; choose the name of a file to write")
    if not overwrite:
        raise FileExistsError(
            errno.EEXIST,
            "the file exists; give overwrite=True (--overwrite) to replace it",
            os.fspath(target),
        )
    return path


def _mark(target: Path) -> str:
    """Beginning of the names of all temporary files of one target."""
    name = target.name
    if len(name.encode()) > _LONGEST_NAME:
        name = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f".{name}.astroreg-"


def _temporary_path(target: Path) -> Path:
    # the suffixes tell writers the format (.fits.gz, .png, .ecsv)
    suffixes = "".join(target.suffixes[-2:])
    suffixes = suffixes if len(suffixes.encode()) <= 16 else ""
    return target.with_name(f"{_mark(target)}{secrets.token_hex(4)}{suffixes}")


def _remove_leftovers(target: Path) -> None:
    """Remove temporary files of processes that were killed; under the lock no other is alive."""
    mark, lock = _mark(target), _lock_path(target).name
    with os.scandir(target.parent) as entries:
        stale = [entry.path for entry in entries if entry.name.startswith(mark) and entry.name != lock]
    for path in stale:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _publish(temporary: Path, target: Path, overwrite: bool) -> None:
    if target.exists():
        os.chmod(temporary, stat.S_IMODE(target.stat().st_mode))
    _sync(temporary)
    if overwrite or not _linked(temporary, target):
        os.replace(temporary, target)
    with contextlib.suppress(OSError):  # not all systems open folders; the file itself is on the disk
        _sync(target.parent)


def _linked(temporary: Path, target: Path) -> bool:
    """Give the new file its name only if that is free, which os.replace cannot do."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise FileExistsError(
            errno.EEXIST,
            "another program has written the file meanwhile; it was left alone",
            os.fspath(target),
        ) from None
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return False
        raise
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _named_errors(target: Path) -> Iterator[None]:
    """Say which file it was about where the system says only what went wrong."""
    try:
        yield
    except OSError as error:
        ours = error.filename is not None and Path(os.fsdecode(error.filename)).name.startswith(_mark(target))
        if error.errno in _NOT_WRITABLE and ours:
            raise PermissionError(
                error.errno,
                f"cannot write into the folder {target.parent}; choose another output",
                str(target),
            ) from error
        if error.errno in _FULL:
            raise OSError(
                error.errno,
                f"no room to write the file ({os.strerror(error.errno)}); nothing was changed",
                str(target),
            ) from error
        raise


def _lock_path(target: Path) -> Path:
    return target.with_name(f"{_mark(target)}lock")


@contextlib.contextmanager
def _locked(target: Path, timeout: float) -> Iterator[bool]:
    """Hold the lock of a target; tell whether there is one. A killed process lets go of it."""
    if fcntl is None:
        yield False
        return
    path = _lock_path(target)
    descriptor, is_locked = _take_lock(path, timeout)
    try:
        yield is_locked
    finally:
        # the name goes before the lock: who waits sees that it holds a nameless file and tries again
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _take_lock(path: Path, timeout: float) -> tuple[int, bool]:
    deadline = time.monotonic() + timeout
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, path):
                return descriptor, True
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                return descriptor, False
            os.close(descriptor)
            raise
        os.close(descriptor)
        if time.monotonic() > deadline:
            raise TimeoutError(
                errno.ETIMEDOUT,
                f"another process has been writing the file for {timeout:g} s",
                str(path.parent),
            )
        time.sleep(0.02)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
