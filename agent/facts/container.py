"""Whether this is a container or a Kubernetes node, and which limits its control group sets."""

from collections.abc import Sequence
from functools import partial

from agent.facts.notebook import Missing, Notebook, asked, present
from agent.kernel.assignments import parse_environ
from agent.kernel.cgroup import (
    ContainerHint,
    CpuQuota,
    container_hint,
    parse_cfs_quota,
    parse_cgroup,
    parse_cpu_max,
    parse_memory_limit,
)
from agent.net.cgroupfs import group_folders

CGROUP = "proc/1/cgroup"
SIGNS = "cgroup, mounts and environment of PID 1, PID namespace"
INITIAL_PID_NAMESPACE = "pid:[4026531836]"  # include/linux/proc_ns.h PROC_PID_INIT_INO
# a runtime mounts a container's own hosts, hostname and resolv.conf from its store: what the source holds → runtime
MOUNT_MARKS: tuple[tuple[str, str], ...] = (
    ("/kubelet/pods/", "kubernetes"),
    ("/docker/containers/", "docker"),
    ("/overlay-containers/", "podman"),
    ("/io.containerd.", "containerd"),
)
MARKED_MOUNTS = frozenset({"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev/termination-log"})
NODE_MARKS = ("etc/kubernetes", "etc/rancher/k3s", "etc/rancher/rke2")


def note_container(notebook: Notebook) -> None:
    """container.*, kubernetes.*, cgroup.*"""
    hint = present(notebook.parsed(CGROUP, lambda data: container_hint(parse_cgroup(data))))
    # an agent without rights over PID 1 was given the same variables by the same runtime
    environ = present(notebook.parsed("proc/1/environ", parse_environ))
    if environ is None:
        environ = present(notebook.parsed("proc/self/environ", parse_environ)) or {}
    kind, evidence = _container(notebook, hint, environ)
    notebook.note(
        "container.kind",
        kind or Missing("not told by any readable sign"),
        SIGNS,
    )
    notebook.note("container.evidence", evidence, SIGNS)
    in_pod = kind == "kubernetes" or "KUBERNETES_SERVICE_HOST" in environ
    marks = [path for path in NODE_MARKS if notebook.root.exists(path)]
    role = (
        "pod"
        if in_pod
        else "node"
        if marks
        else Missing("not told: neither a pod's marks nor a node's files")
    )
    notebook.note("kubernetes.role", role, CGROUP if in_pod else ", ".join(marks or NODE_MARKS))
    if hint is not None and hint.pod_uid:
        notebook.note("kubernetes.pod_uid", hint.pod_uid, CGROUP)
    _note_cpu_limit(notebook)
    _note_memory_limit(notebook)


def _container(
    notebook: Notebook, hint: ContainerHint | None, environ: dict[str, str]
) -> tuple[str | None, list[str]]:
    """The kind of container PID 1 is in, "none", or None when nothing tells; with what told it."""
    root = notebook.root
    mounts = present(notebook.parsed("proc/1/mountinfo", _marked_mount_sources)) or ""
    found: list[tuple[str, str]] = []
    if "KUBERNETES_SERVICE_HOST" in environ:
        found.append(("kubernetes", "the environment has KUBERNETES_SERVICE_HOST"))
    if hint is not None:
        found.append((hint.runtime, f"{CGROUP} names it"))
    if environ.get("container"):
        found.append((environ["container"], "the environment has container="))
    found += [
        (runtime, f"proc/1/mountinfo mounts from {mark}") for mark, runtime in MOUNT_MARKS if mark in mounts
    ]
    if found:
        return found[0][0], [text for _, text in found]
    if root.exists("proc/vz") and not root.exists("proc/bc"):  # both exist on the OpenVZ host itself
        return "openvz", ["proc/vz without proc/bc"]
    if INITIAL_PID_NAMESPACE in (root.link("proc/1/ns/pid"), root.link("proc/self/ns/pid")):
        return "none", ["the PID namespace is the initial one"]
    if root.exists(".dockerenv"):  # last: machine images are made from container images, and keep the file
        return "docker", [".dockerenv is there"]
    groups = present(notebook.parsed(CGROUP, parse_cgroup)) or ()
    if any(group.path == "/init.scope" for group in groups):
        return "none", [f"{CGROUP} is systemd's init.scope, and no runtime left a mark"]
    return None, []


def _marked_mount_sources(mountinfo: bytes) -> str:
    """Where the files that runtimes mount come from (proc_pid_mountinfo(5): fields 4 and 5), one per line."""
    lines = (line.split() for line in mountinfo.decode(errors="replace").splitlines())
    return "\n".join(fields[3] for fields in lines if len(fields) > 4 and fields[4] in MARKED_MOUNTS)


def _note_cpu_limit(notebook: Notebook) -> None:
    """The tightest quota of the group and its ancestors, in CPUs; "max" without one."""
    found = asked(lambda: group_folders(notebook.root, "cpu"))
    if isinstance(found, Missing):
        notebook.note("cgroup.version", found, CGROUP)
        notebook.note("cgroup.cpu_limit_cores", found, CGROUP)
        return
    version, folders = found
    notebook.note("cgroup.version", version, CGROUP)
    quotas = [asked(partial(_cpu_quota, notebook, version, folder)) for folder in folders]
    cores = [quota if isinstance(quota, Missing) else quota.cores for quota in quotas]
    notebook.note("cgroup.cpu_limit_cores", _tightest(cores, version), folders[0] if folders else CGROUP)


def _cpu_quota(notebook: Notebook, version: int, folder: str) -> CpuQuota:
    read = notebook.root.read
    if version == 2:
        return parse_cpu_max(read(f"{folder}/cpu.max"))
    return parse_cfs_quota(read(f"{folder}/cpu.cfs_quota_us"), read(f"{folder}/cpu.cfs_period_us"))


def _tightest(limits: Sequence[float | Missing | None], version: int) -> float | str | Missing:
    """The smallest limit, "max" when no group sets one (None), or why that is not known.

    v2 has no such file in its root group, nor where no parent turned the controller on: absence means no limit.
    """
    unreadable = [limit for limit in limits if isinstance(limit, Missing) and limit.reason != "absent"]
    if unreadable:
        return unreadable[0]
    if not limits or (version == 1 and all(isinstance(limit, Missing) for limit in limits)):
        return Missing("absent")
    return min((limit for limit in limits if isinstance(limit, int | float)), default="max")


def _note_memory_limit(notebook: Notebook) -> None:
    """The tightest limit of the group and its ancestors, in bytes; "max" without one."""
    found = asked(lambda: group_folders(notebook.root, "memory"))
    if isinstance(found, Missing):
        notebook.note("cgroup.memory_limit_bytes", found, CGROUP)
        return
    version, folders = found
    file = "memory.max" if version == 2 else "memory.limit_in_bytes"
    limits = [notebook.parsed(f"{folder}/{file}", parse_memory_limit) for folder in folders]
    notebook.note("cgroup.memory_limit_bytes", _tightest(limits, version), folders[0] if folders else CGROUP)
