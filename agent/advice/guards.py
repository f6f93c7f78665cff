"""What keeps advice safe on this host: containers, an administrator's own settings, another tuner at work.

A guard never takes a finding away. It says why its change is not for files to apply, and lowers a mere preference to info.
"""

from msgspec.structs import replace

from agent.advice.evidence import Evidence
from agent.advice.finding import Command, Finding, Note, Severity, Sysctl

CONTAINERS_WITHOUT_RIGHTS = (
    "lxc",
    "openvz",
    "docker",
    "podman",
    "containerd",
    "kubernetes",
    "systemd-nspawn",
    "crio",
    "wsl",
)
SHARED_WITH_HOST = ("vm.", "net.core.", "net.ipv4.tcp_mem", "net.ipv4.udp_mem", "kernel.")
"""Parameters that no network namespace has of its own: a container cannot have them differently."""
BPFTUNE_KEYS = (
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
    "net.ipv4.tcp_mem",
    "net.core.",
    "net.ipv4.tcp_congestion_control",
)


def guard(finding: Finding, evidence: Evidence) -> Finding:
    """The finding with what this host's circumstances add to it."""
    notes = list(finding.notes)
    severity = finding.severity
    keys = [step.key for step in finding.steps if isinstance(step, Sysctl)]
    for key in keys:
        own = _set_on_purpose(key, evidence)
        if own is not None:
            notes.append(own)
            severity = Severity.INFO if finding.preference else severity
    if keys or any(isinstance(step, Command) for step in finding.steps):
        notes += _container(evidence, keys)
    notes += _tuners(evidence, keys)
    return replace(finding, notes=tuple(dict.fromkeys(notes)), severity=severity)


def _set_on_purpose(key: str, evidence: Evidence) -> Note | None:
    """A file of the administrator sets this very parameter: reported, not overruled."""
    setting = evidence.get(f"sysctl_file.{key}")
    if not isinstance(setting, dict):
        return None
    where = f"{setting.get('file')}:{setting.get('line')}"
    return Note(
        f"{key} is set on purpose in {where}: it is reported, not overruled; change it there.",
        f"{key} 由 {where} 有意设置：仅报告，不覆盖；请在该文件中修改。",
        withholds=True,
    )


def _container(evidence: Evidence, keys: list[str]) -> list[Note]:
    kind = evidence.get("container.kind")
    if kind is None or kind == "none":
        return []
    shared = [key for key in keys if key.startswith(SHARED_WITH_HOST)]
    if kind in CONTAINERS_WITHOUT_RIGHTS and (shared or kind in ("lxc", "openvz")):
        what = ", ".join(shared) or "this"
        return [
            Note(
                f"This is a container ({kind}) that shares {what} with its host: change it on the host, or ask its owner.",
                f"本机是容器（{kind}），{', '.join(shared) or '该项'}与宿主机共享：请在宿主机上修改，或请其所有者修改。",
                withholds=True,
            )
        ]
    return [
        Note(
            f"This is a container ({kind}): set it where the container is described (--sysctl, securityContext.sysctls),"
            " or it is gone with the next start.",
            f"本机是容器（{kind}）：请在容器定义中设置（--sysctl、securityContext.sysctls），否则下次启动后失效。",
            withholds=True,
        )
    ]


def _tuners(evidence: Evidence, keys: list[str]) -> list[Note]:
    """Another tuner sets what we would set: it must be told, or both change it in turn."""
    running = evidence.get("tuners.running")
    names = running if isinstance(running, list) else []
    profile = evidence.get("tuners.tuned_profile")
    notes = []
    if "bpftune" in names and any(key.startswith(BPFTUNE_KEYS) for key in keys):
        notes.append(
            Note(
                "bpftune is at work and adjusts this itself: set it there, or stop that tuner first.",
                "bpftune 正在运行并自行调整该项：请在其中设置，或先停用它。",
                withholds=True,
            )
        )
    if keys and ("tuned" in names or profile):
        notes.append(
            Note(
                f"tuned is at work (profile {profile or 'not known'}): put it into a profile of your own that includes that one.",
                f"tuned 正在运行（配置 {profile or '未知'}）：请写入包含该配置的自定义 profile。",
                withholds=True,
            )
        )
    return notes
