"""Names to addresses, apart from anything timed: looked up in the background, read from memory when a probe is due."""

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Iterable

from agent.wire.series import Family

_LOG = logging.getLogger("agent.resolve")
_NAME_SECONDS = 2.0
_AF = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}


def is_literal(host: str, family: Family) -> bool:
    """Whether host is an address of this family rather than a name."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).version == (4 if family is Family.IPV4 else 6)
    except ValueError:
        return False


def canonical(address: str) -> str:
    """The one way to write an address, as the kernel gives it back."""
    host, percent, zone = address.partition("%")
    return f"{ipaddress.ip_address(host)}{percent}{zone}"


async def lookup(host: str, family: Family) -> str:
    """First address of a name in one family. Raises OSError with the resolver's words."""
    if is_literal(host, family):
        return host
    found = await asyncio.get_running_loop().getaddrinfo(
        host, None, family=_AF[family], type=socket.SOCK_STREAM
    )
    return str(found[0][4][0])


async def host_name(address: str) -> str | None:
    """The name that DNS gives an address, None where it has none or does not answer in time."""
    query = asyncio.get_running_loop().getnameinfo((address, 0), socket.NI_NAMEREQD)
    try:
        return (await asyncio.wait_for(query, _NAME_SECONDS))[0]
    except (OSError, TimeoutError):
        return None


class Resolver:
    """The latest address of each wanted (host, family).

    A name that fails to resolve keeps its last address: a broken resolver is not a broken path. Until the
    first success it has none.
    """

    def __init__(self, interval_seconds: float) -> None:
        self._interval_seconds = interval_seconds
        self._addresses: dict[tuple[str, Family], str] = {}
        self._errors: dict[tuple[str, Family], str] = {}
        self._wanted: set[tuple[str, Family]] = set()
        self._literals: set[str] = set()
        self._known: frozenset[str] = frozenset()

    async def want(self, names: Iterable[tuple[str, Family]]) -> None:
        """Make these the names to keep fresh, and look up those not known yet."""
        wanted = set(names)
        self._wanted = {(host, family) for host, family in wanted if not is_literal(host, family)}
        self._literals = {host for host, _ in wanted - self._wanted}
        await self._refresh(self._wanted - self._addresses.keys())

    def address(self, host: str, family: Family) -> str | None:
        """The address to probe now, None when the name has none."""
        return host if is_literal(host, family) else self._addresses.get((host, family))

    def knows(self, address: str) -> bool:
        """Whether this is the address of a wanted name, or was asked for as such. address: in its canonical form."""
        return address in self._known

    def error(self, host: str, family: Family) -> str:
        """Why there is no (new) address; empty when the last look-up succeeded."""
        return self._errors.get((host, family), "")

    async def keep_fresh(self) -> None:
        """Look all wanted names up again every interval, for ever."""
        while True:
            await asyncio.sleep(self._interval_seconds)
            await self._refresh(self._wanted)

    async def _refresh(self, names: Iterable[tuple[str, Family]]) -> None:
        for host, family in sorted(names):
            try:
                address = await lookup(host, family)
            except OSError as error:
                if (host, family) not in self._errors:
                    _LOG.warning(
                        "name does not resolve",
                        extra={"host": host, "family": str(family), "error": str(error)},
                    )
                self._errors[host, family] = error.strerror or str(error)
            else:
                self._errors.pop((host, family), None)
                self._addresses[host, family] = address
        found = {address for name, address in self._addresses.items() if name in self._wanted}
        self._known = frozenset(map(canonical, self._literals | found))
