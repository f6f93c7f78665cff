"""Both ends of the question which address a NAT gives to this node, and for how long.

The asker's end is one socket for each idle time, so that each has a mapping of its own that nothing else keeps alive.
"""

import asyncio
import secrets
import socket
from collections import Counter
from collections.abc import Callable

from agent.kernel.parse_error import ParseError
from agent.net.poller import READ, Poller
from agent.net.rate import rate_key
from agent.stamp.mapping import Answer, Endpoint, Question, endpoint_of, pack_question, parse_answer
from agent.wire.series import Family

_MOST_WAITING, _MOST_WAITING_OF_A_SOURCE = 1024, 64
"""Some six probes with their default times from one source, which may be several nodes behind one NAT."""
_DATA_BYTES = 64


class Mapping:
    """A connected UDP socket towards one agent. local: its own end. Raises OSError from the constructor."""

    def __init__(self, poller: Poller, address: str, port: int, family: Family) -> None:
        self._poller = poller
        domain = socket.AF_INET6 if family is Family.IPV6 else socket.AF_INET
        self._socket = socket.socket(domain, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            self._socket.connect((address, port))
            self.local: Endpoint = endpoint_of(*self._socket.getsockname()[:2])
        except OSError:
            self._socket.close()
            raise

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    async def ask(self, delay_seconds: int, timeout_seconds: float) -> Answer | None:
        """Ask once; None when nothing came until timeout_seconds after the delay. Raises OSError (a closed port)."""
        question = Question(secrets.randbits(64), delay_seconds)
        answered: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._poller.register(self._socket.fileno(), READ, lambda _: self._receive(question, answered))
        try:
            self._socket.send(pack_question(question))
            return await asyncio.wait_for(answered, delay_seconds + timeout_seconds)
        except TimeoutError:
            return None
        finally:
            self._poller.unregister(self._socket.fileno())

    def _receive(self, question: Question, answered: "asyncio.Future[Answer | None]") -> None:
        while not answered.done():
            try:
                answer = parse_answer(self._socket.recv(_DATA_BYTES))
            except BlockingIOError:
                return
            except ParseError:
                continue
            except OSError as error:
                answered.set_exception(error)
                return
            if answer.nonce == question.nonce:
                answered.set_result(answer)


class WaitingAnswers:
    """Answers that are held back; so many for a source and in all, or none."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._sources: Counter[str] = Counter()
        self._waiting: dict[object, tuple[asyncio.TimerHandle, Callable[[], None]]] = {}

    def hold(
        self, address: str, delay_seconds: int, send: Callable[[], None], give_up: Callable[[], None]
    ) -> bool:
        """Call send after the delay, or give_up when closed before; False where too many wait, and nothing is called."""
        source = rate_key(address)
        if len(self._waiting) >= _MOST_WAITING or self._sources[source] >= _MOST_WAITING_OF_A_SOURCE:
            return False
        self._sources[source] += 1
        ticket = object()

        def due() -> None:
            del self._waiting[ticket]
            self._sources[source] -= 1
            if not self._sources[source]:
                del self._sources[source]
            send()

        self._waiting[ticket] = (self._loop.call_later(delay_seconds, due), give_up)
        return True

    def close(self) -> None:
        """Give up what waits: who asked must not take this end's stop for a mapping that was forgotten."""
        for timer, give_up in self._waiting.values():
            timer.cancel()
            give_up()
        self._waiting.clear()
        self._sources.clear()
