"""CPUs, the clock, DMI, and which hypervisor is below."""

from agent.facts.notebook import NOT_A_LIVE_HOST, NOT_SET, Missing, Notebook, asked, present, stripped
from agent.kernel.cpuinfo import CpuInfo, parse_cpuinfo
from agent.kernel.modules import parse_modules
from agent.kernel.virtualisation import Signs, identify
from agent.net.livehost import LiveHost

CPUINFO = "proc/cpuinfo"
CLOCKSOURCE = "sys/devices/system/clocksource/clocksource0"
DMI_FOLDER = "sys/class/dmi/id"
DMI_FILES = (
    "sys_vendor", "product_name", "product_version", "bios_vendor", "bios_version", "board_vendor", "chassis_asset_tag"
)  # fmt: skip
FLAGS = ("vmx", "svm", "hypervisor", "constant_tsc", "nonstop_tsc", "tsc_known_freq", "aes", "avx2")
DEVICE_TREE = "proc/device-tree/hypervisor/compatible"


def note_processor(notebook: Notebook, live: LiveHost | None) -> None:
    """cpu.*, clock.*, dmi.*, virtualisation.*"""
    cpu = _note_cpu(notebook)
    clocksources = _note_clock(notebook, live)
    dmi = _note_dmi(notebook)
    signs = Signs(
        cpu=cpu,
        cpuid_vendor=present(asked(live.hypervisor_vendor)) if live else None,
        dmi=dmi,
        hypervisor_type=present(notebook.parsed("sys/hypervisor/type", stripped)),
        guest_type=present(notebook.parsed("sys/hypervisor/guest_type", stripped)),
        xen_capabilities=present(notebook.parsed("proc/xen/capabilities", stripped)),
        clocksources=clocksources,
        device_tree=present(notebook.parsed(DEVICE_TREE, stripped)),
        modules=present(notebook.parsed("proc/modules", parse_modules)),
    )
    answer = identify(signs)
    source = "CPUID, DMI, clock source, CPU flags and model, modules"
    undecided = Missing("not told by any readable sign")
    notebook.note("virtualisation.kind", answer.kind or undecided, source)
    notebook.note(
        "virtualisation.accelerated", undecided if answer.accelerated is None else answer.accelerated, source
    )
    notebook.note("virtualisation.platform", answer.platform or Missing("not named by DMI"), DMI_FOLDER)
    notebook.note("virtualisation.evidence", list(answer.evidence), source)


def _note_cpu(notebook: Notebook) -> CpuInfo | None:
    found = notebook.parsed(CPUINFO, parse_cpuinfo)
    cpu = present(found)
    reason = found if isinstance(found, Missing) else Missing(NOT_SET)
    notebook.note("cpu.count", cpu.count if cpu else reason, CPUINFO)
    notebook.note("cpu.vendor", (cpu and cpu.vendor) or reason, CPUINFO)
    notebook.note("cpu.model", (cpu and cpu.model) or reason, CPUINFO)
    notebook.note("cpu.microcode", (cpu and cpu.microcode) or reason, CPUINFO)
    for flag in FLAGS:
        has = cpu.has_flag(flag) if cpu else None
        other = reason if cpu is None else Missing("not an x86 processor")
        notebook.note(f"cpu.flags.{flag}", other if has is None else has, CPUINFO)
    return cpu


def _note_clock(notebook: Notebook, live: LiveHost | None) -> tuple[str, ...]:
    current = notebook.note_file("clock.source", f"{CLOCKSOURCE}/current_clocksource", stripped)
    offered = notebook.note_file(
        "clock.sources_available", f"{CLOCKSOURCE}/available_clocksource", lambda data: stripped(data).split()
    )
    state = asked(live.clock_state) if live else Missing(NOT_A_LIVE_HOST)
    notebook.note(
        "clock.synchronised", state if isinstance(state, Missing) else state.synchronised, "adjtimex"
    )
    return tuple(dict.fromkeys(([current] if current else []) + (offered or [])))


def _note_dmi(notebook: Notebook) -> dict[str, str]:
    found = {name: notebook.note_file(f"dmi.{name}", f"{DMI_FOLDER}/{name}", stripped) for name in DMI_FILES}
    return {name: value for name, value in found.items() if value}
