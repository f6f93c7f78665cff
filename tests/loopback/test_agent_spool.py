"""Closed windows survive: in order, across restarts, kill −9, damage and full disks, within their bounds."""

import errno
import gzip
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.spool import Spool

ROOT = Path(__file__).resolve().parents[2]
BIG = 10**9
DAY_S = 86400.0


def spool_in(path, max_bytes=BIG, max_age_seconds=7 * DAY_S):
    return Spool(path / "spool", max_bytes, max_age_seconds)


async def contents(spool):
    """Every body that can be read, oldest first; empties the spool."""
    bodies = []
    while (batch := spool.oldest()) is not None:
        packed = await spool.read(batch)
        if packed is not None:
            bodies.append(gzip.decompress(packed))
            spool.delete(batch)
    return bodies


async def test_batches_come_out_in_the_order_they_went_in(tmp_path):
    """Oldest first, numbered from 0, each exactly as it was; deleting one removes its file."""
    spool = spool_in(tmp_path)
    for n in range(12):
        assert spool.next_sequence == n
        stored = await spool.append(b"batch %d" % n, windows=n)
        assert (stored.boot, stored.sequence, stored.windows) == (spool.boot, n, n)
    assert len(spool) == 12
    assert spool.size_bytes == sum(path.stat().st_size for path in (tmp_path / "spool").iterdir())
    assert await contents(spool) == [b"batch %d" % n for n in range(12)]
    assert (len(spool), spool.size_bytes, list((tmp_path / "spool").iterdir())) == (0, 0, [])


async def test_a_restart_goes_on_where_the_last_one_ended(tmp_path):
    """Old batches keep their boot and sequence and go first; new ones have a new boot and count from 0."""
    first = spool_in(tmp_path)
    for n in range(3):
        await first.append(b"first %d" % n, 1)
    second = spool_in(tmp_path)
    await second.append(b"second", 1)
    third = spool_in(tmp_path)
    await third.append(b"third", 1)
    assert len({first.boot, second.boot, third.boot}) == 3
    oldest = third.oldest()
    assert (oldest.boot, oldest.sequence) == (first.boot, 0)
    assert await contents(third) == [b"first 0", b"first 1", b"first 2", b"second", b"third"]


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "gone", "not gzip"])
async def test_a_damaged_batch_is_set_aside_and_counted(tmp_path, damage):
    """Only the damaged one is lost; it is kept for a person to look at, and the others follow."""
    spool = spool_in(tmp_path)
    bad = await spool.append(b"bad " * 100, windows=7)
    await spool.append(b"good", windows=1)
    data = bad.path.read_bytes()
    if damage == "gone":
        bad.path.unlink()
    else:
        flipped = bytearray(data)
        flipped[len(data) // 2] ^= 0xFF
        bad.path.write_bytes(
            {"cut": data[:-5], "empty": b"", "flipped": bytes(flipped), "not gzip": b"x"}[damage]
        )
    assert await contents(spool) == [b"good"]
    assert spool.lost_windows == {"expired": 0, "full": 0, "corrupt": 7, "rejected": 0, "renamed": 0}
    kept = [path.name for path in (tmp_path / "spool" / "rejected").iterdir()]
    assert kept == ([] if damage == "gone" else [bad.path.name])


async def test_what_cannot_be_read_just_now_is_not_lost(tmp_path, monkeypatch):
    """Out of descriptors or an I/O error is no damage: the batch stays and is read another time."""
    spool = spool_in(tmp_path)
    batch = await spool.append(b"fine", 1)
    with monkeypatch.context() as broken:
        broken.setattr(Path, "read_bytes", too_many_files)
        with pytest.raises(OSError, match="Too many open files"):
            await spool.read(batch)
    assert spool.lost_windows["corrupt"] == 0
    assert await contents(spool) == [b"fine"]


def too_many_files(_path):
    raise OSError(24, "Too many open files")


async def test_the_bound_on_size_gives_up_the_oldest(tmp_path):
    """The newest always fit; how many windows went is counted by reason."""
    spool = spool_in(tmp_path, max_bytes=5000)
    for n in range(20):
        await spool.append(os.urandom(1000) + b"%d" % n, windows=2)
        assert spool.size_bytes <= 5000
    left = len(spool)
    assert 3 <= left <= 4
    assert spool.lost_windows["full"] == 2 * (20 - left)
    assert [body[1000:] for body in await contents(spool)] == [b"%d" % n for n in range(20 - left, 20)]


async def test_the_bound_on_age_gives_up_what_is_older(tmp_path):
    """Expired batches go when the next one is written, also those of an earlier start, and are counted."""
    spool = spool_in(tmp_path)
    for n in range(3):
        stored = await spool.append(b"%d" % n, windows=n + 1)
        if n < 2:
            os.utime(stored.path, (time.time() - 2 * DAY_S,) * 2)
    later = spool_in(tmp_path, max_age_seconds=DAY_S)
    await later.append(b"new", 1)
    assert later.lost_windows["expired"] == 3
    assert await contents(later) == [b"2", b"new"]


async def test_rejected_batches_are_kept_but_not_for_ever(tmp_path):
    """The latest twenty stay for a person to look at."""
    spool = spool_in(tmp_path)
    for n in range(30):
        spool.set_aside(await spool.append(b"%d" % n, 1), "rejected")
    kept = sorted((tmp_path / "spool" / "rejected").iterdir())
    assert [gzip.decompress(path.read_bytes()) for path in kept] == [b"%d" % n for n in range(10, 30)]
    assert spool.lost_windows["rejected"] == 30
    assert len(spool_in(tmp_path)) == 0


async def test_foreign_files_are_left_alone(tmp_path):
    """Only half-written files of our own are cleaned up; a name that is not a batch's is nobody's business."""
    directory = tmp_path / "spool"
    directory.mkdir()
    (directory / "README").write_text("hands off")
    (directory / "00000000-0000000000-x.json.tmp").write_text("half")
    spool = spool_in(tmp_path)
    assert len(spool) == 0
    assert [path.name for path in directory.iterdir()] == ["README"]


async def test_a_disk_that_fails_leaves_nothing_half_written(tmp_path, monkeypatch):
    """The error is raised, no file is left, the number is not used up, and the next try works."""
    spool = spool_in(tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr("os.fsync", disk_full)
        with pytest.raises(OSError, match="No space left"):
            await spool.append(b"one", 1)
    assert list((tmp_path / "spool").iterdir()) == []
    assert (await spool.append(b"one", 1)).sequence == 0


def disk_full(_fd):
    raise OSError(28, "No space left on device")


WRITER = """
import asyncio, sys
from pathlib import Path
from agent.spool import Spool

async def main():
    spool = Spool(Path(sys.argv[1]) / "spool", 10**9, 10**9)
    for n in range(10**9):
        await spool.append(b"%d" % n * 2000, 1)
        print(n, flush=True)

asyncio.run(main())
"""


async def test_kill_9_in_the_middle_of_appends_loses_at_most_the_one_being_written(tmp_path):
    """25 kills at random moments: every batch that append had confirmed is there, whole, once, in order."""
    confirmed = []
    for start in range(25):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, tmp_path], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        writer.stdout.readline()
        time.sleep(0.001 * start)
        writer.send_signal(signal.SIGKILL)
        said = [0, *map(int, writer.communicate()[0].split())]
        confirmed.append(said[-1] + 1)
    spool = spool_in(tmp_path)
    bodies = await contents(spool)
    runs = []
    for body in bodies:
        number = int(body[: len(body) // 2000])
        if number == 0:
            runs.append(0)
        assert number == runs[-1]
        runs[-1] += 1
    assert len(runs) == 25
    for written, count in zip(runs, confirmed, strict=True):
        assert count <= written <= count + 1
    assert spool.lost_windows["corrupt"] == 0


async def fill(spool):
    """Append until the disk is full; how many fitted."""
    for stored in range(1000):
        try:
            await spool.append(os.urandom(6000), 1)
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017 - the loop is to end at this error only
            return stored
    raise AssertionError("the disk is never full")


@pytest.mark.netns
async def test_a_real_full_disk_and_its_recovery(tmp_path):
    """On a small tmpfs: ENOSPC is raised and nothing is left half-written; with room again the same batch is stored."""
    if os.geteuid():
        pytest.skip("mounting a tmpfs needs root")
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", mount], check=True)
    try:
        spool = spool_in(mount)
        stored = await fill(spool)
        assert len(spool) == stored == len(list((mount / "spool").iterdir()))
        spool.set_aside(spool.oldest(), "rejected")
        spool.delete(spool.oldest())
        assert (await spool.append(os.urandom(6000), 1)).sequence == stored
        assert len(await contents(spool)) == stored - 1
    finally:
        subprocess.run(["umount", mount], check=True)
