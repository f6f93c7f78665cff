"""Container images by buildah, with a store of their own. Needs root."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from lab.netns import LabError, require_program


def require_containers() -> None:
    """Raise LabUnavailableError where images cannot be built or run."""
    for program in ("buildah", "runc"):
        require_program(program)


class Images:
    """buildah with a store of its own in a folder."""

    def __init__(self, folder: Path) -> None:
        self._command = [
            "buildah",
            "--root",
            f"{folder}/store",
            "--runroot",
            f"{folder}/run",
            "--storage-driver",
            "overlay",
        ]

    def buildah(self, *arguments: str) -> str:
        """Its standard output. Raises LabError with what it said."""
        command = [*self._command, *arguments]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, "BUILDAH_ISOLATION": "chroot"},
        )
        if done.returncode:
            raise LabError(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout.strip()

    def take_root(self, root: Path, name: str) -> None:
        """A root file system as an image without configuration but a PATH."""
        container = self.buildah("from", "scratch")
        self.buildah("add", "-q", container, str(root), "/")
        self.buildah(
            "config", "--env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", container
        )
        self.buildah("commit", "-q", "--rm", container, name)

    def build(self, context: Path, file: Path, target: str, base: str) -> None:
        """The file's target as the image of that name, with the argument BASE; nothing is pulled."""
        self.buildah(
            "bud", "-q", "--format", "docker", "--pull-never", "--build-arg", f"BASE={base}",
            "--target", target, "-f", str(file), "-t", f"localhost/{target}", str(context),
        )  # fmt: skip

    def configuration(self, name: str) -> dict[str, Any]:
        """The image's own: User, Entrypoint, Cmd, Env, Healthcheck, Volumes …"""
        described = json.loads(self.buildah("inspect", "--type", "image", name))
        configuration: dict[str, Any] = described["Docker"]["config"]
        return configuration

    def close(self) -> None:
        """Unmount what is mounted."""
        self.buildah("umount", "--all")

    def mount(self, name: str) -> Path:
        """A container's root of the image."""
        return Path(self.buildah("mount", self.buildah("from", "--pull-never", name)))
