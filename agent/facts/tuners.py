"""Other programs that tune this host: what runs, and what is set to run."""

from functools import partial

from agent.facts.notebook import Missing, Notebook, asked, present, stripped

TUNERS = frozenset({"tuned", "bpftune", "irqbalance", "tlp", "power-profiles-"})
"""As /proc/PID/comm names them, cut at 15 characters."""
PROFILE = "etc/tuned/active_profile"
MOST_PROCESSES = 20_000


def note_tuners(notebook: Notebook) -> None:
    """tuners.running, tuners.tuned_profile."""
    processes = [
        name for name in present(asked(partial(notebook.root.names, "proc"))) or [] if name.isdigit()
    ]
    running = set()
    for process in processes[:MOST_PROCESSES]:
        name = present(notebook.parsed(f"proc/{process}/comm", stripped))
        if name in TUNERS:
            running.add(name)
    value = sorted(running) if processes else Missing("not told: no process is listed")
    notebook.note("tuners.running", value, "proc/*/comm")
    notebook.note_file("tuners.tuned_profile", PROFILE, stripped)
