"""The facts of this host, or of another host's captured tree: stable things that advice and fleet comparison need.

Counters that move are no facts; they are read by agent.net.counter_reader. Names, units and sources: docs/facts.md.
"""

from collections.abc import Iterable
from contextlib import closing
from functools import partial
from pathlib import Path

from agent.facts.container import note_container
from agent.facts.interfaces import note_interfaces
from agent.facts.notebook import Missing, Notebook, asked
from agent.facts.overlays import note_overlays
from agent.facts.processor import note_processor
from agent.facts.routes import note_routes
from agent.facts.system import note_system
from agent.facts.tuners import note_tuners
from agent.net.livehost import LiveHost
from agent.net.procfs import ProcRoot
from agent.wire.batch import Fact

GONE = "gone"


def collect(root: Path, time_s: int, metadata_url: str | None = None) -> list[Fact]:
    """Every fact, those that cannot be read with their reason.

    root: "/" for this host, whose drivers and routing are asked too; any other folder is a captured tree with
    proc, sys and etc in it, of which any part may be missing. time_s: now, seconds since the epoch.
    metadata_url: where to ask the provider's metadata service; None: do not ask. Asking blocks for seconds.
    Raises NotADirectoryError when root is no folder.
    """
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is no folder")
    tree = ProcRoot(root)
    notebook = Notebook(tree, time_s)
    if tree.is_live:
        with closing(LiveHost()) as live:
            _note_all(notebook, live)
    else:
        _note_all(notebook, None)
    if metadata_url is not None:
        _note_cloud(notebook, metadata_url)
    return notebook.facts


def _note_all(notebook: Notebook, live: LiveHost | None) -> None:
    note_system(notebook)
    note_processor(notebook, live)
    note_container(notebook)
    interfaces = note_interfaces(notebook, live)
    default_interface = note_routes(notebook, live, interfaces)
    note_overlays(notebook, interfaces, default_interface)
    note_tuners(notebook)


def _note_cloud(notebook: Notebook, metadata_url: str) -> None:
    """cloud.*, after all the rest: what the provider says of the machine."""
    from agent.net.cloud_metadata import cloud_metadata  # noqa: PLC0415 - an HTTP client, for those who ask only

    answer = asked(partial(cloud_metadata, metadata_url))
    if isinstance(answer, Missing):
        notebook.note("cloud.provider", answer, metadata_url)
        return
    for name, value in answer.items():
        notebook.note(f"cloud.{name}", value, metadata_url)


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
