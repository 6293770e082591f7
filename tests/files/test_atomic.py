"""A file is there completely or not at all: killed processes, full disks, folders without rights."""

import errno
import os
import resource
import signal
import stat
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable

from astroreg.files import correct_file, replacing, restore_file, write_table_atomic, write_text_atomic
from astroreg.sky import SkyCorrection
from tests.files.conftest import celestial_cards

OLD, NEW = "old " * 1000, "new " * 500_000


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def run_forked(action):
    """Run in a child process; return the text of the OSError that it met, or an empty one."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            action()
            text = ""
        except OSError as error:
            text = f"{type(error).__name__}: {error}"
        except BaseException as error:
            text = f"unexpected {error!r}"
        os.write(writer, text.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        text = pipe.read().decode()
    os.waitpid(child, 0)
    return text


class TestReplacing:
    def test_writes_and_leaves_nothing_else(self, tmp_path):
        target = tmp_path / "a.txt"
        assert write_text_atomic(target, "première\n") == target
        assert target.read_bytes() == "première\n".encode()
        assert names(tmp_path) == ["a.txt"]

    def test_refuses_to_overwrite(self, tmp_path):
        target = tmp_path / "a.txt"
        target.write_text("mine")
        with pytest.raises(FileExistsError, match=r"overwrite=True \(--overwrite\)"):
            write_text_atomic(target, "other")
        assert target.read_text() == "mine"
        write_text_atomic(target, "other", overwrite=True)
        assert target.read_text() == "other"

    def test_a_failing_writer_leaves_the_old_file(self, tmp_path):
        target = tmp_path / "a.txt"
        target.write_text("mine")

        def write():
            with replacing(target, overwrite=True) as temporary:
                temporary.write_text("half")
                raise RuntimeError("half way")

        with pytest.raises(RuntimeError, match="half way"):
            write()
        assert target.read_text() == "mine"
        assert names(tmp_path) == ["a.txt"]

    def test_the_target_appears_at_the_end_only(self, tmp_path):
        target = tmp_path / "a.fits.gz"
        with replacing(target) as temporary:
            temporary.write_text("half")
            assert not target.exists()
            assert temporary.parent == tmp_path
            assert temporary.name.endswith(".fits.gz")
        assert target.read_text() == "half"

    def test_file_that_came_into_being_meanwhile_is_kept(self, tmp_path):
        target = tmp_path / "a.txt"

        def write():
            with replacing(target) as temporary:
                temporary.write_text("ours")
                target.write_text("theirs")

        with pytest.raises(FileExistsError, match="has written the file meanwhile"):
            write()
        assert target.read_text() == "theirs"
        assert names(tmp_path) == ["a.txt"]

    def test_permissions(self, tmp_path):
        target = tmp_path / "a.txt"
        umask = os.umask(0o027)
        try:
            write_text_atomic(target, "1")
        finally:
            os.umask(umask)
        assert stat.S_IMODE(target.stat().st_mode) == 0o640
        target.chmod(0o604)
        write_text_atomic(target, "2", overwrite=True)
        assert stat.S_IMODE(target.stat().st_mode) == 0o604

    def test_symbolic_link_stays_one(self, tmp_path):
        (tmp_path / "real").mkdir()
        link, real = tmp_path / "link.txt", tmp_path / "real" / "a.txt"
        real.write_text("1")
        link.symlink_to(real)
        write_text_atomic(link, "2", overwrite=True)
        assert link.is_symlink()
        assert real.read_text() == "2"

    @pytest.mark.parametrize(
        "name",
        [
            "-dash.txt",
            "with space.txt",
            "größe ☉.txt",
            "n" * 250,
            "ü" * 120 + ".fits",
            ".hidden",
            "a'\"$;.txt",
        ],
    )
    def test_any_name(self, name, tmp_path):
        write_text_atomic(tmp_path / name, "x")
        assert names(tmp_path) == [name]

    def test_missing_folder(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"the folder .* does not exist; make it first"):
            write_text_atomic(tmp_path / "no" / "a.txt", "x")

    @pytest.mark.parametrize("target", ["/dev/null", "folder"])
    def test_devices_and_folders_are_not_replaced(self, target, tmp_path):
        (tmp_path / "folder").mkdir()
        with pytest.raises(OSError, match="is not a plain file"):
            write_text_atomic(tmp_path / target, "x", overwrite=True)

    def test_leftovers_of_killed_writers_are_removed(self, tmp_path):
        target = tmp_path / "a.txt"
        with replacing(target) as temporary:
            temporary.write_text("x")
        stale = temporary.with_name(temporary.name.replace("astroreg-", "astroreg-0"))
        other = tmp_path / ".b.txt.astroreg-12345678.txt"
        for path in (stale, other):
            path.write_text("half")
        write_text_atomic(target, "y", overwrite=True)
        assert names(tmp_path) == [other.name, "a.txt"]

    def test_writers_wait_for_each_other(self, tmp_path):
        target = tmp_path / "a.txt"
        order = []
        inside = threading.Event()

        def slow():
            with replacing(target, overwrite=True) as temporary:
                inside.set()
                time.sleep(0.2)
                order.append("slow")
                temporary.write_text("slow")

        first = threading.Thread(target=slow)
        first.start()
        inside.wait()
        with replacing(target, overwrite=True) as temporary:
            order.append("second")
            temporary.write_text(target.read_text() + ", then second")
        first.join()
        assert order == ["slow", "second"]
        assert target.read_text() == "slow, then second"

    def test_waiting_ends(self, tmp_path):
        target = tmp_path / "a.txt"
        with replacing(target) as temporary:
            temporary.write_text("x")
            with pytest.raises(TimeoutError, match=r"another process has been writing the file for 0\.1 s"):
                with replacing(target, timeout=0.1):
                    pytest.fail("two writers at once")

    def test_no_locks_on_this_system(self, tmp_path, monkeypatch):
        monkeypatch.setattr("astroreg.files.atomic.fcntl", None)
        write_text_atomic(tmp_path / "a.txt", "x")
        assert names(tmp_path) == ["a.txt"]

    def test_file_system_without_locks_and_links(self, tmp_path, monkeypatch):
        def refuse(*arguments):
            raise OSError(errno.ENOTSUP, "not here")

        monkeypatch.setattr("astroreg.files.atomic.fcntl.flock", refuse)
        monkeypatch.setattr(os, "link", refuse)
        write_text_atomic(tmp_path / "a.txt", "x")
        assert names(tmp_path) == ["a.txt"]

    def test_table(self, tmp_path):
        table = QTable({"shift": [1.0, 2.0] * u.pix})
        write_table_atomic(tmp_path / "a.ecsv", table)
        again = QTable.read(tmp_path / "a.ecsv")
        assert again["shift"].unit == u.pix
        np.testing.assert_array_equal(again["shift"].value, [1.0, 2.0])


class TestFaults:
    def test_disk_full(self, plain_file, correction, tmp_path):
        out = tmp_path / "out"
        out.mkdir()
        target = out / "a.fits"
        target.write_text("mine")

        def write():
            resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))
            correct_file(plain_file, correction, target, overwrite=True)

        assert "no room to write the file (File too large); nothing was changed" in run_forked(write)
        assert target.read_text() == "mine"
        assert names(out) == ["a.fits"]

    def test_folder_without_rights(self, plain_file, correction):
        content = plain_file.read_bytes()
        # not below pytest's folder, which other users may not enter
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            source = folder / "in.fits"
            source.write_bytes(content)
            folder.chmod(0o555)

            def write():
                if os.geteuid() == 0:  # who may everything is no test
                    os.setresuid(65534, 65534, 65534)
                correct_file(source, correction, folder / "out.fits")

            text = run_forked(write)
            folder.chmod(0o755)
            assert text.startswith("PermissionError")
            assert "cannot write into the folder" in text
            assert names(folder) == ["in.fits"]

    @pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
    @pytest.mark.parametrize("kills", [12, pytest.param(50, marks=pytest.mark.slow)])
    def test_killed_at_random_moments(self, kills, tmp_path, record_property):
        """What is there is the old file or the complete new one."""
        rng = np.random.default_rng(kills)
        target = tmp_path / "a.txt"

        def write():
            write_text_atomic(target, NEW, overwrite=True)

        start = time.monotonic()
        target.write_text(OLD)
        assert run_forked(write) == ""
        duration = time.monotonic() - start
        outcomes = set()
        for delay in rng.uniform(0, 1.2 * duration, kills):
            target.write_text(OLD)
            child = os.fork()
            if child == 0:
                write()
                os._exit(0)
            time.sleep(delay)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            content = target.read_text()
            assert content in (OLD, NEW)
            outcomes.add(content)
        record_property("kills", kills)
        assert outcomes == {OLD, NEW}, "the moments were all too early or all too late"
        write_text_atomic(target, "end", overwrite=True)
        assert names(tmp_path) == ["a.txt"]

    @pytest.mark.slow
    def test_correcting_in_place_killed_at_50_moments(self, correction, tmp_path, record_property):
        rng = np.random.default_rng(8)
        path, whole = tmp_path / "a.fits", tmp_path / "whole.fits"
        hdu = fits.PrimaryHDU(rng.normal(size=(2000, 2000)).astype("f4"), celestial_cards())
        hdu.writeto(whole)
        old = whole.read_bytes()
        pixels = np.array(hdu.data)

        def write():
            correct_file(path, correction, path, overwrite=True)

        path.write_bytes(old)
        start = time.monotonic()
        assert run_forked(write) == ""
        duration = time.monotonic() - start
        corrected = 0
        for delay in rng.uniform(0, 1.2 * duration, 50):
            path.write_bytes(old)
            child = os.fork()
            if child == 0:
                write()
                os._exit(0)
            time.sleep(delay)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            content = path.read_bytes()
            if content != old:
                corrected += 1
                with fits.open(path) as hdus:
                    assert "ASTREG01" in hdus[0].header
                    np.testing.assert_array_equal(hdus[0].data, pixels)
        record_property("kills", 50)
        record_property("kills that found the new file", corrected)
        assert 0 < corrected < 50


class TestTwoProcesses:
    """Two processes that correct one file at the same time do it one after the other."""

    @pytest.fixture
    def two(self, correction):
        second = SkyCorrection.from_coordinates(
            correction.pivot, correction.pivot.spherical_offsets_by(-0.7 * u.arcsec, 0.2 * u.arcsec)
        )
        return correction, second

    @pytest.mark.parametrize("rounds", [4, pytest.param(40, marks=pytest.mark.slow)])
    def test_in_place(self, two, rounds, plain_file, tmp_path, record_property):
        """Both corrections are in the file, in either order; undone, it is the first file again."""
        old, back = fits.getdata(plain_file), tmp_path / "back.fits"
        record_property("pairs of processes", rounds)
        for number in range(rounds):
            path = tmp_path / f"{number}.fits"
            path.write_bytes(plain_file.read_bytes())
            assert self.at_once(*((path, one, path) for one in two)) == ["", ""]
            header = fits.getheader(path)
            assert {one.identity in str(header["HISTORY"]) for one in two} == {True}
            np.testing.assert_array_equal(fits.getdata(path), old)
            restore_file(path, back, overwrite=True)
            restore_file(back, back, overwrite=True)
            for keyword in ("CRVAL1", "CRVAL2", "CD1_1", "CD1_2"):
                assert fits.getval(back, keyword) == fits.getval(plain_file, keyword)

    def test_one_output(self, two, plain_file, tmp_path):
        """It is the whole file of one of them; the other is told that there is one."""
        path = tmp_path / "out.fits"
        texts = self.at_once(*((plain_file, one, path) for one in two), overwrite=False)
        assert sorted(bool(text) for text in texts) == [False, True]
        assert "FileExistsError" in "".join(texts)
        winner = two[texts.index("")]
        assert winner.identity in str(fits.getheader(path)["HISTORY"])
        np.testing.assert_array_equal(fits.getdata(path), fits.getdata(plain_file))

    def at_once(self, *calls, overwrite=True):
        """Run `correct_file` in one process each; return the texts of their errors."""
        texts = [None] * len(calls)

        def work(number):
            texts[number] = run_forked(lambda: correct_file(*calls[number], overwrite=overwrite))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(len(calls))]
        with warnings.catch_warnings():
            # Of a process that forks with threads: the children write a file and end.
            warnings.simplefilter("ignore", DeprecationWarning)
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        return texts
