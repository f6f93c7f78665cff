"""Control groups, v1 and v2: membership, CPU quota and throttling, memory limit, and the container they hint at.

cgroups(7); Documentation/admin-guide/cgroup-v2.rst; v1: Documentation/scheduler/sched-bwc.rst.
"""

import re
from dataclasses import dataclass

from agent.kernel.parse_error import ParseError
from agent.kernel.text import number, text_of

SOURCE = "cgroup"
UNLIMITED_V1_BYTES = 2**62  # v1 prints the largest page-aligned long, 9223372036854771712 with 4 KiB pages


@dataclass(frozen=True, slots=True)
class Membership:
    """One line of /proc/PID/cgroup. hierarchy 0 with no controllers is v2; path is relative to the cgroup namespace."""

    hierarchy: int
    controllers: tuple[str, ...]
    path: str


@dataclass(frozen=True, slots=True)
class CpuQuota:
    """CPU time allowed per period. quota_us None: no limit."""

    quota_us: int | None
    period_us: int

    @property
    def cores(self) -> float | None:
        """The quota as a number of CPUs; None without a limit."""
        return None if self.quota_us is None else self.quota_us / self.period_us


@dataclass(frozen=True, slots=True)
class ContainerHint:
    """What a cgroup path says of the container. pod_uid: Kubernetes' identity of the pod, with dashes."""

    runtime: str
    container_id: str | None = None
    pod_uid: str | None = None


def parse_cgroup(data: bytes) -> tuple[Membership, ...]:
    """/proc/PID/cgroup. Raises ParseError."""
    memberships = []
    for line_number, line in enumerate(text_of(SOURCE, data).splitlines(), 1):
        parts = line.split(":", 2)
        if len(parts) != 3 or not parts[2].startswith("/"):
            raise ParseError(
                SOURCE, f"line {line_number}", "'hierarchy:controllers:/path' was expected", line
            )
        controllers = tuple(part for part in parts[1].split(",") if part)
        memberships.append(Membership(number(SOURCE, f"line {line_number}", parts[0]), controllers, parts[2]))
    return tuple(memberships)


def path_in(memberships: tuple[Membership, ...], controller: str) -> tuple[int, str] | None:
    """Version and path of the group that rules this controller: v1's own hierarchy if there is one, else v2's."""
    for membership in memberships:
        if controller in membership.controllers:
            return 1, membership.path
    return next(((2, m.path) for m in memberships if m.hierarchy == 0 and not m.controllers), None)


def parse_cpu_max(data: bytes) -> CpuQuota:
    """v2 cpu.max: "max 100000" or "50000 100000". Raises ParseError."""
    words = text_of(SOURCE, data).split()
    if len(words) != 2:
        raise ParseError(SOURCE, "cpu.max", "'quota period' was expected", " ".join(words))
    quota = None if words[0] == "max" else number(SOURCE, "cpu.max", words[0])
    return _quota(quota, number(SOURCE, "cpu.max", words[1]), "cpu.max")


def parse_cfs_quota(quota: bytes, period: bytes) -> CpuQuota:
    """v1 cpu.cfs_quota_us (−1: no limit) and cpu.cfs_period_us. Raises ParseError."""
    quota_us = number(SOURCE, "cpu.cfs_quota_us", text_of(SOURCE, quota).strip())
    period_us = number(SOURCE, "cpu.cfs_period_us", text_of(SOURCE, period).strip())
    return _quota(None if quota_us == -1 else quota_us, period_us, "cpu.cfs_quota_us")


def _quota(quota_us: int | None, period_us: int, where: str) -> CpuQuota:
    if period_us <= 0 or (quota_us is not None and quota_us <= 0):
        raise ParseError(SOURCE, where, "quota and period are positive", f"{quota_us} {period_us}")
    return CpuQuota(quota_us, period_us)


def parse_flat_keyed(data: bytes) -> dict[str, int]:
    """cpu.stat, memory.stat, memory.events: "key number" lines. Raises ParseError."""
    values: dict[str, int] = {}
    for line_number, line in enumerate(text_of(SOURCE, data).splitlines(), 1):
        words = line.split()
        if len(words) != 2:
            raise ParseError(SOURCE, f"line {line_number}", "'key number' was expected", line)
        values[words[0]] = number(SOURCE, f"line {line_number}", words[1])
    return values


def throttled_seconds(cpu_stat: dict[str, int]) -> float | None:
    """Time throttled from cpu.stat: v2 throttled_usec, v1 throttled_time in ns; None without bandwidth control."""
    if "throttled_usec" in cpu_stat:
        return cpu_stat["throttled_usec"] / 1e6
    return cpu_stat["throttled_time"] / 1e9 if "throttled_time" in cpu_stat else None


def parse_memory_limit(data: bytes) -> int | None:
    """memory.max or memory.limit_in_bytes, in bytes; None: no limit. Raises ParseError."""
    word = text_of(SOURCE, data).strip()
    if word == "max":
        return None
    limit = number(SOURCE, "memory limit", word)
    return None if limit >= UNLIMITED_V1_BYTES else limit


# how runtimes name their groups: cgroupfs drivers make plain folders, systemd drivers make scopes
CONTAINER_ID = r"(?P<id>[0-9a-f]{64})"
POD_UID = re.compile(
    r"pod(?P<uid>[0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32})"
)
RUNTIMES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("kubernetes", re.compile(rf"/kubepods(?:.*/(?:[a-z-]+-)?{CONTAINER_ID})?")),
    ("docker", re.compile(rf"/docker(?:/|-){CONTAINER_ID}")),
    ("podman", re.compile(rf"/libpod-(?:conmon-)?{CONTAINER_ID}")),
    ("containerd", re.compile(rf"/(?:cri-containerd-|containerd/){CONTAINER_ID}")),
    ("lxc", re.compile(r"/lxc(?:\.payload|\.monitor)?[./](?P<id>[^/]+)")),
    (
        "systemd-nspawn",
        re.compile(r"/machine\.slice/(?:systemd-nspawn@|machine-)(?P<id>[^/]+?)\.(?:service|scope)"),
    ),
)


def container_hint(memberships: tuple[Membership, ...]) -> ContainerHint | None:
    """The container whose name a path carries, or None.

    None proves nothing: a container with its own cgroup namespace sees only "/".
    """
    for runtime, pattern in RUNTIMES:
        for membership in memberships:
            match = pattern.search(membership.path)
            if match is not None:
                pod = POD_UID.search(membership.path)
                return ContainerHint(runtime, match["id"], pod["uid"].replace("_", "-") if pod else None)
    return None
