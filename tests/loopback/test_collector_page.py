"""The pages in a real browser."""

import re
import shutil
import struct
import subprocess
import time
import zlib

import pytest

from tests.batches import MS, batch, series, window
from tests.collector_process import CollectorProcess, free_port
from tests.small_fleet import fill, write_files

pytestmark = [
    pytest.mark.debian,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed"),
]
NOW = int(time.time()) // 60 * 60


@pytest.fixture
def collector(tmp_path):
    windows = [window(start_s=NOW - 60 * i, values_ns=[7 * MS] * 6, limit_ns=12 * MS) for i in range(1, 90)]
    windows += [window(series(destination="nyc"), NOW - 60 * i, [290 * MS], 122 * MS) for i in range(1, 90)]
    fill(tmp_path / "store.db", [batch(windows)], NOW)
    process = CollectorProcess(write_files(tmp_path), free_port()).wait("/-/ready")
    yield process
    process.end()


def chromium(tmp_path, *arguments):
    return subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
         "--enable-logging=stderr", "--virtual-time-budget=2000", *arguments],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip


def pixels(path):
    """Distinct colours of a PNG as Chromium writes it (8 bits a channel, not interlaced)."""
    data, at, packed = path.read_bytes(), 8, b""
    while at < len(data):
        (length,), kind = struct.unpack(">I", data[at : at + 4]), data[at + 4 : at + 8]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", data[at + 8 : at + 18])
        if kind == b"IDAT":
            packed += data[at + 8 : at + 8 + length]
        at += 12 + length
    assert depth == 8
    channels = {2: 3, 6: 4}[colour]
    raw, row, colours, stride = zlib.decompress(packed), bytearray(width * channels), set(), width * channels
    for y in range(height):
        row = unfiltered(
            raw[y * (stride + 1)], raw[y * (stride + 1) + 1 : (y + 1) * (stride + 1)], row, channels
        )
        colours |= {bytes(row[i : i + 3]) for i in range(0, stride, channels * 3)}
    return colours


def unfiltered(kind, line, above, channels):
    out = bytearray(line)
    for i in range(len(out)):
        left = out[i - channels] if i >= channels else 0
        corner = above[i - channels] if i >= channels else 0
        if kind == 1:
            add = left
        elif kind == 2:
            add = above[i]
        elif kind == 3:
            add = (left + above[i]) // 2
        elif kind == 4:
            guess = left + above[i] - corner
            add = min((left, above[i], corner), key=lambda value: abs(guess - value))
        else:
            return out
        out[i] = (out[i] + add) & 255
    return out


def test_the_matrix_renders_with_its_style_and_its_links_lead_to_charts(collector, tmp_path):
    """A real browser takes the style sheet under the page's own security policy, paints verdicts, and follows links."""
    dom = chromium(tmp_path, "--dump-dom", collector.url + "/")
    assert "Refused to" not in dom.stderr
    assert "Content Security Policy" not in dom.stderr
    link = re.search(r'class="v-unachievable[^>]*><a href="(/path/ams/nyc)"', dom.stdout)[1]
    path = chromium(tmp_path, "--dump-dom", collector.url + link)
    assert "Content Security Policy" not in path.stderr
    assert '<polyline class="p99"' in path.stdout


def test_light_and_dark_are_both_painted(collector, tmp_path):
    """The verdicts' colours are on the screen in both schemes, on a light and on a dark ground."""
    grounds = []
    for name, dark in (("light.png", ()), ("dark.png", ("--force-dark-mode",))):
        shot = tmp_path / name
        chromium(tmp_path, f"--screenshot={shot}", "--window-size=800,500", *dark, collector.url + "/")
        colours = pixels(shot)
        grounds.append(colours)
        assert len(colours) > 20
    light, dark = grounds
    assert {bytes.fromhex("fafaf9"), bytes.fromhex("7b4fb0"), bytes.fromhex("bfe3ce")} <= light
    assert {bytes.fromhex("131416"), bytes.fromhex("6f48a3"), bytes.fromhex("1d4a38")} <= dark
    assert bytes.fromhex("fafaf9") not in dark
