"""Where a process's control groups lie in the mounted trees: v2, v1, or both at once."""

from agent.kernel.cgroup import Membership, parse_cgroup, path_in
from agent.net.procfs import ProcRoot

MOUNT = "sys/fs/cgroup"
V1_FOLDERS = {"cpu": ("cpu,cpuacct", "cpu"), "memory": ("memory",)}


def memberships(root: ProcRoot) -> tuple[Membership, ...]:
    """The groups of this process, or of a captured tree's first process. Raises OSError or ParseError."""
    if root.exists("proc/self/cgroup"):
        return parse_cgroup(root.read("proc/self/cgroup"))
    return parse_cgroup(root.read("proc/1/cgroup"))


def group_folders(root: ProcRoot, controller: str) -> tuple[int, list[str]]:
    """Version (1 or 2) and the folders of the group that rules "cpu" or "memory" and of its ancestors, own first.

    An ancestor's limit binds as well. A container sees its own group as the root. Raises FileNotFoundError when no
    group rules this controller, OSError or ParseError.
    """
    found = path_in(memberships(root), controller)
    if found is None:
        raise FileNotFoundError(f"no control group rules {controller}")
    version, path = found
    mount = _mount(root, controller, version)
    parts = [part for part in path.split("/") if part and part != ".."]
    paths = ["/".join((mount, *parts[:depth])) for depth in range(len(parts), -1, -1)]
    # a container's own view of its path may begin above what is mounted for it
    return version, [folder for folder in paths if root.exists(folder)]


def _mount(root: ProcRoot, controller: str, version: int) -> str:
    if version == 2:
        return MOUNT if root.exists(f"{MOUNT}/cgroup.controllers") else f"{MOUNT}/unified"
    folders = (f"{MOUNT}/{folder}" for folder in V1_FOLDERS[controller])
    return next((folder for folder in folders if root.exists(folder)), f"{MOUNT}/{controller}")
