"""Names to addresses, apart from anything timed: looked up in the background, read from memory when a probe is due."""

import asyncio
import ipaddress
import logging
import socket
import threading
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from typing import Any

from agent.wire.series import Family

_LOG = logging.getLogger("agent.resolve")
_PATIENCE_SECONDS = 3.0
_LOOKUPS_AT_ONCE = 8
_NAME_SECONDS = 2.0
_AF = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}


@lru_cache(maxsize=4096)
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


async def lookup(host: str, family: Family) -> list[str]:
    """The addresses of a name in one family, never none. Raises OSError with the resolver's words."""
    if is_literal(host, family):
        return [host]
    return [str(address[0]) for *_, address in await getaddrinfo(host, 0, _AF[family])]


async def getaddrinfo(host: str, port: int, family: int) -> list[Any]:
    """socket.getaddrinfo for TCP, in a thread of its own. Raises OSError.

    Not the event loop's: its few threads serve everything else too, and the process cannot end before they
    do, which with a deaf name server takes ten seconds for each name in the queue. Nobody waits for this one.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[Any]] = loop.create_future()

    def tell(found: list[Any] | OSError) -> None:
        if answer.done():
            return
        if isinstance(found, OSError):
            answer.set_exception(found)
        else:
            answer.set_result(found)

    def ask() -> None:
        found: list[Any] | OSError
        try:
            found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
        except OSError as error:
            found = error
        except UnicodeError as error:
            found = OSError(None, f"not a host name: {error}")
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(tell, found)

    threading.Thread(target=ask, daemon=True, name="getaddrinfo").start()
    return await answer


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
    first success it has none. A name with several addresses keeps the one in use for as long as it is among them.
    """

    def __init__(self, interval_seconds: float) -> None:
        self._interval_seconds = interval_seconds
        self._addresses: dict[tuple[str, Family], str] = {}
        self._errors: dict[tuple[str, Family], str] = {}
        self._wanted: set[tuple[str, Family]] = set()
        self._lookups: dict[tuple[str, Family], asyncio.Task[None]] = {}
        self._at_once = asyncio.Semaphore(_LOOKUPS_AT_ONCE)
        self._literals: set[str] = set()
        self._known: frozenset[str] = frozenset()

    async def want(self, names: Iterable[tuple[str, Family]]) -> None:
        """Make these the names to keep fresh, and look up those not known yet.

        Returns when all are looked up, or after a few seconds: the rest follow in the background.
        """
        wanted = set(names)
        self._wanted = {(host, family) for host, family in wanted if not is_literal(host, family)}
        self._literals = {host for host, _ in wanted - self._wanted}
        for known in (self._addresses, self._errors):
            for name in known.keys() - self._wanted:
                del known[name]
        self._note_known()
        self._start_lookups(self._wanted - self._addresses.keys())
        if self._lookups:
            await asyncio.wait(self._lookups.values(), timeout=_PATIENCE_SECONDS)

    def address(self, host: str, family: Family) -> str | None:
        """The address to probe now, None when the name has none."""
        return host if is_literal(host, family) else self._addresses.get((host, family))

    def knows(self, address: str) -> bool:
        """Whether this is the address of a wanted name, or was asked for as such. address: in its canonical form."""
        return address in self._known

    def error(self, host: str, family: Family) -> str:
        """Why there is no (new) address; empty when the last look-up succeeded."""
        name = (host, family)
        return self._errors.get(name, "not looked up yet" if name not in self._addresses else "")

    async def keep_fresh(self) -> None:
        """Look all wanted names up again every interval, until cancelled."""
        try:
            while True:
                await asyncio.sleep(self._interval_seconds)
                self._start_lookups(self._wanted)
        finally:
            for task in self._lookups.values():
                task.cancel()

    def _start_lookups(self, names: Iterable[tuple[str, Family]]) -> None:
        """One look-up at a time for each name; a hanging one is not doubled."""
        for name in sorted(names):
            if name not in self._lookups:
                self._lookups[name] = asyncio.create_task(self._look_up(*name))

    async def _look_up(self, host: str, family: Family) -> None:
        name = (host, family)
        try:
            async with self._at_once:
                addresses = await lookup(host, family)
        except OSError as error:
            if name in self._wanted:
                self._failed(name, error)
            return
        finally:
            del self._lookups[name]
        self._errors.pop(name, None)
        if name in self._wanted and self._addresses.get(name) not in addresses:
            self._addresses[name] = addresses[0]
            self._note_known()

    def _note_known(self) -> None:
        self._known = frozenset(map(canonical, [*self._literals, *self._addresses.values()]))

    def _failed(self, name: tuple[str, Family], error: OSError) -> None:
        if name not in self._errors:
            _LOG.warning(
                "name does not resolve", extra={"host": name[0], "family": str(name[1]), "error": str(error)}
            )
        self._errors[name] = error.strerror or str(error)
