"""TLS handshakes on non-blocking sockets in the shared epoll: TCP timed by the kernel, TLS by the monotonic clock.

Nothing is refused here: old protocols and weak ciphers are measured, and a chain that does not verify is reported.
"""

import asyncio
import errno
import select
import socket
import ssl
import struct
import time
from dataclasses import dataclass

from agent.net.poller import Poller
from agent.net.tcp import Connect, Handshake, open_socket, read_handshake

_READABLE = select.EPOLLIN | select.EPOLLERR | select.EPOLLHUP | select.EPOLLONESHOT
_WRITABLE = select.EPOLLOUT | select.EPOLLERR | select.EPOLLHUP | select.EPOLLONESHOT
_NO_LINGER = struct.pack("=ii", 0, 0)
_LEAST_TICKET_WAIT_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class TlsHandshake:
    """How one connection went. tcp: as the kernel tells it; the rest only where TLS was spoken.

    error: why there is no TLS, "" where there is; timed_out: it did not end in time. handshake_ns: from connected to
    finished. certificate: the peer's, DER. session: to resume with; resumed: whether this one was resumed.
    verify_error: why the chain does not verify, "" where it does, None where that was not asked.
    """

    tcp: Handshake
    error: str = ""
    timed_out: bool = False
    handshake_ns: int | None = None
    protocol: str | None = None
    cipher: str | None = None
    certificate: bytes | None = None
    session: ssl.SSLSession | None = None
    resumed: bool = False
    verify_error: str | None = None


def client_context(ca_file: str | None, *, verify: bool) -> ssl.SSLContext:
    """A context that speaks whatever the peer does. Raises OSError for a CA file that cannot be read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    if verify and ca_file is not None:
        context.load_verify_locations(ca_file)
    elif verify:
        context.load_default_certs()
    return context


async def handshake(
    poller: Poller,
    connect: Connect,
    context: ssl.SSLContext,
    server_name: str,
    timeout_seconds: float,
    session: ssl.SSLSession | None = None,
) -> TlsHandshake:
    """Connect and speak TLS up to the end of the handshake and the first session ticket."""
    started = time.monotonic_ns()
    try:
        sock = open_socket(connect)
    except OSError as error:
        return TlsHandshake(_no_handshake(error.errno or errno.EIO))
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)  # a server would log a reset
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        code: int | None = sock.connect_ex((connect.address, connect.port))
        try:
            async with asyncio.timeout_at(deadline):
                if code == errno.EINPROGRESS:
                    code = None
                    await _ready(poller, sock.fileno(), _WRITABLE)
        except TimeoutError:
            pass  # the kernel's state says so
        tcp = read_handshake(sock, code or None, time.monotonic_ns() - started)
        if tcp.error or not tcp.answered:
            return TlsHandshake(tcp)
        return await _speak(poller, sock, tcp, context, server_name, deadline, session)
    finally:
        sock.close()


async def _speak(
    poller: Poller,
    sock: socket.socket,
    tcp: Handshake,
    context: ssl.SSLContext,
    server_name: str,
    deadline: float,
    session: ssl.SSLSession | None,
) -> TlsHandshake:
    started = time.monotonic_ns()
    tls: ssl.SSLSocket | None = None
    try:
        async with asyncio.timeout_at(deadline):
            tls = context.wrap_socket(
                sock, do_handshake_on_connect=False, server_hostname=server_name, session=session
            )
            await _until_done(poller, tls)
        took = time.monotonic_ns() - started
        await _await_ticket(poller, tls, took, deadline)
        cipher = tls.cipher()
        return TlsHandshake(
            tcp,
            handshake_ns=took,
            protocol=tls.version(),
            cipher=None if cipher is None else cipher[0],
            certificate=tls.getpeercert(binary_form=True),
            session=tls.session,
            resumed=bool(tls.session_reused),
            verify_error="" if context.verify_mode is ssl.CERT_REQUIRED else None,
        )
    except TimeoutError:
        return TlsHandshake(tcp, error="connected, but TLS did not end in time", timed_out=True)
    except ssl.SSLCertVerificationError as error:
        return TlsHandshake(tcp, error=error.verify_message, verify_error=error.verify_message)
    except ssl.SSLError as error:
        return TlsHandshake(tcp, error=f"no TLS: {error.reason or error}")
    except (OSError, ValueError) as error:
        return TlsHandshake(tcp, error=f"no TLS: {error}")
    finally:
        if tls is not None:
            _close(tls)


async def _until_done(poller: Poller, tls: ssl.SSLSocket) -> None:
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            await _ready(poller, tls.fileno(), _READABLE)
        except ssl.SSLWantWriteError:
            await _ready(poller, tls.fileno(), _WRITABLE)
        else:
            return


async def _await_ticket(poller: Poller, tls: ssl.SSLSocket, took_ns: int, deadline: float) -> None:
    """TLS 1.3 sends tickets after the handshake (RFC 8446, 4.6.1): about a round trip later, if at all."""
    wait = max(_LEAST_TICKET_WAIT_SECONDS, took_ns / 1e9)
    until = min(deadline, asyncio.get_running_loop().time() + wait)
    if tls.version() != "TLSv1.3":
        return
    try:
        async with asyncio.timeout_at(until):
            while tls.session is None or not tls.session.has_ticket:
                try:
                    if not tls.recv(1):
                        return
                except ssl.SSLWantReadError:
                    await _ready(poller, tls.fileno(), _READABLE)
    except (TimeoutError, OSError):
        return


async def _ready(poller: Poller, fd: int, events: int) -> None:
    """Return when the descriptor is ready."""
    ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_event(_events: int) -> None:
        if not ready.done():
            ready.set_result(None)

    poller.register(fd, events, on_event)
    try:
        await ready
    finally:
        poller.unregister(fd)


def _close(tls: ssl.SSLSocket) -> None:
    """Say goodbye as far as that takes no waiting."""
    try:
        tls.unwrap()
    except (OSError, ValueError):
        pass
    finally:
        tls.close()


def _no_handshake(code: int) -> Handshake:
    return Handshake(error=code, answered=False, rtt_ns=None, retransmissions=0, elapsed_ns=0)
