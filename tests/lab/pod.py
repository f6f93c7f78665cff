"""A pod's containers by runc, from a Kubernetes manifest: a kubelet for tests. Needs root.

What of a pod's specification decides what a container may do is carried over: user, capabilities, no_new_privs,
read-only root, seccomp (the containers project's default profile for RuntimeDefault), memory limit, volumes, environment.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.images import Images
from lab.netns import LabError

_SECCOMP = Path("/usr/share/containers/seccomp.json")
_MASKED = ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/sys/firmware")
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod of a manifest on one node of the lab.

    specification: the pod template's spec. volumes: folder or file for each volume of its. network: the path
    of the network namespace that is the node's. values: what fieldRefs resolve to, such as spec.nodeName. hosts: /etc/hosts.
    """

    name: str
    specification: Mapping[str, Any]
    images: Images
    folder: Path
    volumes: Mapping[str, Path]
    network: str
    values: Mapping[str, str] = field(default_factory=dict)
    hosts: Path | None = None

    def run(self, container: str) -> subprocess.CompletedProcess[str]:
        """An init container, to its end. Raises LabError where it fails."""
        done = subprocess.run(self._runc(container), capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise LabError(f"{container}: {done.stdout}{done.stderr}")
        return done

    @contextmanager
    def running(self, container: str) -> Iterator[Path]:
        """A container until the block ends; the file has what it wrote."""
        log = self.folder / f"{container}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                self._runc(container), stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        try:
            yield log
        finally:
            self._kill(container)
            process.wait(20)

    def exec(self, container: str, *command: str) -> subprocess.CompletedProcess[str]:
        """kubectl exec: as the container's own user, with its capabilities."""
        argv = ["runc", "--root", str(self.folder / "runc"), "exec", self._id(container), *command]
        return subprocess.run(argv, capture_output=True, text=True, timeout=30)

    def _kill(self, container: str) -> None:
        argv = ["runc", "--root", str(self.folder / "runc"), "kill", self._id(container), "KILL"]
        subprocess.run(argv, capture_output=True, timeout=30)

    def _id(self, container: str) -> str:
        return f"lft{os.getpid()}-{self.name}-{container}"

    def _runc(self, name: str) -> list[str]:
        listed = [*self.specification.get("initContainers", ()), *self.specification["containers"]]
        (container,) = (each for each in listed if each["name"] == name)
        image = f"localhost/{container['image'].partition(':')[0]}"
        bundle = self.folder / name
        bundle.mkdir()
        document = _bundle(self, container, self.images.configuration(image), self.images.mount(image))
        (bundle / "config.json").write_text(json.dumps(document))
        return ["runc", "--root", str(self.folder / "runc"), "run", "-b", str(bundle), self._id(name)]


def _bundle(pod: Pod, container: Mapping[str, Any], image: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """The runtime's configuration (opencontainers/runtime-spec, config.md)."""
    security = {**pod.specification.get("securityContext", {}), **container.get("securityContext", {})}
    named = {
        item["name"]: item.get("value") or pod.values[item["valueFrom"]["fieldRef"]["fieldPath"]]
        for item in container.get("env", ())
    }
    granted = [f"CAP_{name}" for name in security["capabilities"].get("add", ())]
    if security["capabilities"]["drop"] != ["ALL"]:
        raise LabError(f"{container['name']}: the lab runs containers that drop ALL")
    own = granted if security["runAsUser"] == 0 else []
    entrypoint = container.get("command") or image["Entrypoint"]
    arguments = container.get("args") or ([] if "command" in container else image["Cmd"])
    memory = container["resources"]["limits"]["memory"]
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": security["runAsUser"], "gid": security["runAsGroup"], "additionalGids": _groups(security)},
            "args": [*entrypoint, *arguments],
            "env": [*image["Env"], *(f"{key}={value}" for key, value in named.items())],
            "cwd": "/",
            "capabilities": {"bounding": granted, "effective": own, "permitted": own},
            "noNewPrivileges": not security["allowPrivilegeEscalation"],
        },
        "root": {"path": str(root), "readonly": security["readOnlyRootFilesystem"]},
        "mounts": [*_SYSTEM_MOUNTS, *_volume_mounts(pod, container, named)],
        "linux": {
            "namespaces": [
                {"type": "network", "path": pod.network},
                *({"type": kind} for kind in ("pid", "ipc", "uts", "mount")),
            ],
            "maskedPaths": _MASKED,
            "readonlyPaths": _READ_ONLY,
            "resources": {"memory": {"limit": int(memory[:-2]) * _UNITS[memory[-2:]]}},
            "seccomp": _seccomp(granted),
        },
    }  # fmt: skip


def _groups(security: Mapping[str, Any]) -> list[int]:
    return [security["fsGroup"]] if "fsGroup" in security else []


_SYSTEM_MOUNTS: tuple[dict[str, Any], ...] = (
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {
        "destination": "/dev",
        "type": "tmpfs",
        "source": "tmpfs",
        "options": ["nosuid", "mode=755", "size=64k"],
    },
    {
        "destination": "/sys",
        "type": "sysfs",
        "source": "sysfs",
        "options": ["ro", "nosuid", "noexec", "nodev"],
    },
)


def _volume_mounts(
    pod: Pod, container: Mapping[str, Any], named: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    if pod.hosts is not None:
        yield {
            "destination": "/etc/hosts",
            "type": "bind",
            "source": str(pod.hosts),
            "options": ["bind", "ro"],
        }
    for mount in container.get("volumeMounts", ()):
        source = pod.volumes[mount["name"]]
        if "subPathExpr" in mount:
            path = mount["subPathExpr"]
            for key, value in named.items():
                path = path.replace(f"$({key})", value)
            source /= path
        options = ["bind", "ro" if mount.get("readOnly") else "rw"]
        yield {"destination": mount["mountPath"], "type": "bind", "source": str(source), "options": options}


def _seccomp(granted: Sequence[str]) -> dict[str, Any]:
    """The default profile for these capabilities, in the runtime's form (containers/common, pkg/seccomp)."""
    profile = json.loads(_SECCOMP.read_text())

    def holds(rule: Mapping[str, Any]) -> bool:
        wanted, unwanted = rule.get("includes") or {}, rule.get("excludes") or {}
        return (
            ("amd64" in wanted.get("arches", ["amd64"]))
            and set(wanted.get("caps", ())) <= set(granted)
            and not set(unwanted.get("caps", ())) & set(granted)
            and "amd64" not in unwanted.get("arches", ())
        )

    kept = ("names", "action", "args", "errnoRet")
    rules = [
        {key: rule[key] for key in kept if rule.get(key) is not None}
        for rule in profile["syscalls"]
        if holds(rule)
    ]
    return {
        "defaultAction": profile["defaultAction"],
        "defaultErrnoRet": profile["defaultErrnoRet"],
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": rules,
    }
