"""Reading pseudo-files below a root that is a value: this host's "/", or another host's captured tree."""

from dataclasses import dataclass
from pathlib import Path

from agent.kernel.parse_error import ParseError

MAX_BYTES = 4 << 20
"""No file that we read is larger: /proc/cpuinfo of 512 CPUs has 800 kB."""
CHUNK_BYTES = 1 << 16
"""/proc/sys refuses a buffer of 4 MiB with ENOMEM and clears one of any size (fs/proc/proc_sysctl.c)."""


@dataclass(frozen=True, slots=True)
class ProcRoot:
    """A tree with proc, sys and etc in it. Paths are relative: "proc/net/snmp"."""

    root: Path = Path("/")

    @property
    def is_live(self) -> bool:
        """Whether this is the running host, which can be asked by other means than files too."""
        return self.root == Path("/")

    def read(self, path: str) -> bytes:
        """The whole file in one bounded go: /proc reports size 0 and may change between two reads.

        Raises FileNotFoundError, PermissionError, or OSError (a sysfs attribute that its driver refuses: EINVAL).
        """
        with self._locate(path).open("rb", buffering=0) as file:
            pieces = []
            left = MAX_BYTES
            while left and (piece := file.read(min(left, CHUNK_BYTES))):
                pieces.append(piece)
                left -= len(piece)
            return b"".join(pieces)

    def names(self, path: str) -> list[str]:
        """Names in a folder, sorted; empty when it is not there. Raises PermissionError."""
        try:
            return sorted(entry.name for entry in self._locate(path).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def link(self, path: str) -> str | None:
        """Where a symbolic link points, as written; None when there is none."""
        try:
            folder, _, name = path.rpartition("/")
            return str((self._locate(folder) / name).readlink())
        except OSError:
            return None

    def exists(self, path: str) -> bool:
        """Whether the path is there, even if it may not be read."""
        try:
            return self._locate(path).exists()
        except OSError:
            return False

    def _locate(self, path: str) -> Path:
        """The path below the root. A captured tree may hold links out of it, to this host's files: those are absent."""
        if "\0" in path:  # a name that was read from a damaged file; no file has it
            raise FileNotFoundError(f"{path!r} is no path")
        full = self.root / path
        if self.is_live:
            return full
        resolved = full.resolve()
        if not resolved.is_relative_to(self.root.resolve()):
            raise FileNotFoundError(f"{path} leads out of {self.root}")
        return resolved


def missing_reason(error: OSError | ParseError) -> str:
    """Why a value is missing, in words that rules can tell apart by their beginning."""
    if isinstance(error, ParseError):
        return f"malformed: {error}"
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "absent"
    if isinstance(error, PermissionError):
        return "not permitted"
    return f"refused: {error.strerror or error}"
