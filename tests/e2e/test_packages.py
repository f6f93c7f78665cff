"""The Debian packages as files: Debian's own checker, and the machine code in them."""

import shutil
import struct
import subprocess

import pytest

from packages import build

pytestmark = [
    pytest.mark.debian,
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg"),
]
OURS = "uses-no-compression-for-control-tarball,uses-no-compression-for-data-tarball"  # packages.build is in a hurry
MACHINES = {"amd64": 62, "arm64": 183}  # e_machine of elf(5): EM_X86_64, EM_AARCH64


@pytest.mark.skipif(shutil.which("lintian") is None, reason="needs the Debian package lintian")
@pytest.mark.parametrize("name", ["agent", "collector"])
def test_lintian_finds_no_error(packages, name):
    """What lintian reports as an error is not there."""
    (package,) = packages.glob(f"lightfloor-{name}_*.deb")
    command = ["lintian", "--fail-on", "error", "--suppress-tags", OURS, package]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("architecture", MACHINES)
def test_a_package_runs_on_the_architecture_that_it_states(tmp_path, architecture):
    """Every library in the agent's package is of the machine stated, whatever machine built it."""
    package = build("agent", tmp_path, architecture=architecture)
    field = subprocess.run(["dpkg-deb", "-f", package, "Architecture"], capture_output=True, text=True)
    assert field.stdout.strip() == architecture
    subprocess.run(["dpkg-deb", "-x", package, tmp_path / "tree"], check=True)
    libraries = list((tmp_path / "tree").rglob("*.so*"))
    assert len(libraries) > 10
    machines = {struct.unpack_from("<H", file.read_bytes(), 18)[0] for file in libraries}
    assert machines == {MACHINES[architecture]}
