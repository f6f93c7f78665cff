"""The facts of this host, or of another host's captured tree: stable things that advice and fleet comparison need.

Counters that move are no facts; they are read by agent.net.counters. Names, units and sources: docs/facts.md.
"""

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from agent.facts.container import note_container
from agent.facts.interfaces import note_interfaces
from agent.facts.notebook import Notebook
from agent.facts.overlays import note_overlays
from agent.facts.processor import note_processor
from agent.facts.routes import note_routes
from agent.facts.system import note_system
from agent.net.livehost import LiveHost
from agent.net.procfs import ProcRoot
from agent.wire.batch import Fact

GONE = "gone"


def collect(root: Path, time_s: int) -> list[Fact]:
    """Every fact, those that cannot be read with their reason.

    root: "/" for this host, whose drivers and routing are asked too; any other folder is a captured tree with
    proc, sys and etc in it, of which any part may be missing. time_s: now, seconds since the epoch.
    Raises NotADirectoryError when root is no folder.
    """
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is no folder")
    tree = ProcRoot(root)
    if not tree.is_live:
        return _collect(tree, None, time_s)
    with closing(LiveHost()) as live:
        return _collect(tree, live, time_s)


def _collect(tree: ProcRoot, live: LiveHost | None, time_s: int) -> list[Fact]:
    notebook = Notebook(tree, time_s)
    note_system(notebook)
    note_processor(notebook, live)
    note_container(notebook)
    interfaces = note_interfaces(notebook, live)
    default_interface = note_routes(notebook, live, interfaces)
    note_overlays(notebook, interfaces, default_interface)
    return notebook.facts


def facts_changed(old: Iterable[Fact], new: Iterable[Fact]) -> list[Fact]:
    """The facts of `new` whose value or reason differs from `old`'s, whatever their times.

    A fact that is no longer there (an interface that was removed) comes back with value None and reason "gone".
    """
    before = {fact.name: fact for fact in old}
    after = {fact.name: fact for fact in new}
    changed = [
        fact for name, fact in after.items() if name not in before or _content(before[name]) != _content(fact)
    ]
    now = max((fact.time_s for fact in after.values()), default=None)
    for name, fact in before.items():
        if name not in after and fact.reason != GONE and now is not None:
            changed.append(Fact(name, None, fact.source, now, GONE))
    return changed


def _content(fact: Fact) -> tuple[object, str | None]:
    return fact.value, fact.reason
