"""All checks in the order in which they are shown."""

from pathlib import Path

from agent.config import Config
from agent.selftest.check import Check
from agent.selftest.host import check_host
from agent.selftest.link import check_link
from agent.selftest.probes import check_probes


async def everything(config: Config | None, beside: Path) -> list[Check]:
    """Takes some three seconds, at most half a minute where much times out. beside: the directory of agent.toml."""
    return [*await check_host(config), *await check_probes(), *await check_link(config, beside)]
