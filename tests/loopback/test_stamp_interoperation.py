"""STAMP with somebody else's implementation: scapy's packets (scapy.contrib.stamp), and RFC 8762's authenticated layout."""

import asyncio
import contextlib
import hashlib
import hmac
import logging
import socket
import time

import pytest

from agent.flight import fly
from agent.net.network import SystemNetwork
from agent.net.reflect import StampReflector
from agent.probes import udp
from agent.probes.udp import UDP_KIND
from agent.sample import Burst, Target
from agent.wire.series import Family, Outcome

logging.getLogger("scapy").setLevel(logging.ERROR)
NTP_UNIX = 2_208_988_800
KEY = bytes(range(32))


@pytest.fixture(scope="module")
def stamp():
    from scapy.contrib import stamp

    return stamp


@contextlib.contextmanager
def reflecting(key=None):
    """The agent's own reflector, whom it answers left open."""
    reflector = StampReflector("127.0.0.1", 0, 1e6, key, lambda _: True)
    try:
        yield reflector
    finally:
        reflector.close()


async def asked(port, packet):
    """What the reflector answers to a packet."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect(("127.0.0.1", port))
        sock.send(packet)
        return await asyncio.wait_for(loop.sock_recv(sock, 4096), 2)


class ForeignReflector(asyncio.DatagramProtocol):
    """A reflector that shares no code with the agent: `answer` makes its packet from (request, own sequence number)."""

    def __init__(self, answer):
        self._answer, self._count = answer, 0

    def connection_made(self, transport):
        self._transport = transport

    def datagram_received(self, data, address):
        self._transport.sendto(self._answer(data, self._count), address)
        self._count += 1


async def probe(answer, options):
    """Five of our probes against a foreign reflector."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: ForeignReflector(answer), local_addr=("127.0.0.1", 0)
    )
    port = transport.get_extra_info("sockname")[1]
    samples, memory, network = [], {}, SystemNetwork()
    try:
        for _ in range(5):
            target = Target("foreign", Family.IPV4, "127.0.0.1", port)
            burst = Burst(
                options, 1.0, [target], network, lambda _, s: samples.append(s), lambda *_: None, memory
            )
            await fly(burst, UDP_KIND)
    finally:
        transport.close()
        network.close()
    return samples


async def test_a_foreign_sender_understands_our_reflector(stamp):
    """scapy's sender packet is answered with one that scapy reads: its own fields copied, our count and times added."""
    sender = stamp.STAMPSessionSenderTestUnauthenticated(
        seq=77, ssid=0x1234, err_estimate=stamp.ErrorEstimate(S=1, Z=0, scale=20, multiplier=3)
    )
    request = bytes(sender)
    before = time.time()
    with reflecting() as reflector:
        answer = await asked(reflector.port, request)
    read = stamp.STAMPSessionReflectorTestUnauthenticated(answer)
    assert len(answer) == len(request) == 44
    assert (read.seq, read.seq_sender, read.ssid, read.ttl_sender) == (0, 77, 0x1234, 64)
    assert bytes(read)[24:38] == request[:14]
    received, sent = (float(getattr(read, name)) - NTP_UNIX for name in ("ts_rx", "ts"))
    assert before - 1 < received <= sent < time.time() + 1


async def test_our_sender_understands_a_foreign_reflector(stamp):
    """Against a reflector made of scapy's packets every probe is answered, and its own time is taken off."""

    def answer(data, count):
        request = stamp.STAMPSessionSenderTestUnauthenticated(data)
        received = time.time() + NTP_UNIX
        time.sleep(0.02)
        reply = stamp.STAMPSessionReflectorTestUnauthenticated(
            seq=count, ts=time.time() + NTP_UNIX, ts_rx=received, ssid=request.ssid,
            seq_sender=request.seq, err_estimate_sender=request.err_estimate, ttl_sender=64,
        )  # fmt: skip
        return (
            bytes(reply)[:28] + data[4:12] + bytes(reply)[36:]
        )  # scapy's times are floats, too coarse for a copy

    samples = await probe(answer, udp.Options())
    assert [sample.outcome for sample in samples] == [Outcome.OK] * 5
    assert all(sample.rtt_ns < 15_000_000 for sample in samples)


async def test_authenticated_mode_is_the_rfcs(tmp_path):
    """Packets laid out by RFC 8762 sections 4.2.2 and 4.3.2 with HMAC-SHA-256 cut to 16 octets are understood both ways."""

    def signed(body):
        assert len(body) == 96
        return body + hmac.new(KEY, body, hashlib.sha256).digest()[:16]

    def request_packet(sequence, stamp_bytes):
        return signed(
            sequence.to_bytes(4, "big") + bytes(12) + stamp_bytes + b"\x00\x01" + bytes(2) + bytes(68)
        )

    now = (int(time.time()) + NTP_UNIX).to_bytes(4, "big") + bytes(4)
    with reflecting(KEY) as reflector:
        answer = await asked(reflector.port, request_packet(9, now))
        with pytest.raises(TimeoutError):
            await asked(reflector.port, request_packet(10, now)[:-1] + b"\x00")
    assert len(answer) == 112
    assert hmac.new(KEY, answer[:96], hashlib.sha256).digest()[:16] == answer[96:]
    assert answer[48:52] == (9).to_bytes(4, "big")
    assert answer[64:72] == now
    assert answer[80] == 64

    def reflect(data, count):
        stamp_now = (int(time.time()) + NTP_UNIX).to_bytes(4, "big") + bytes(4)
        body = count.to_bytes(4, "big") + bytes(12) + stamp_now + data[24:26] + data[26:28] + bytes(4)
        body += (
            stamp_now
            + bytes(8)
            + data[:4]
            + bytes(12)
            + data[16:24]
            + data[24:26]
            + bytes(6)
            + b"\x40"
            + bytes(15)
        )
        return signed(body)

    key_file = tmp_path / "key"
    key_file.write_text(KEY.hex())
    key_file.chmod(0o600)
    samples = await probe(reflect, udp.Options(key_file=str(key_file)))
    assert [sample.outcome for sample in samples] == [Outcome.OK] * 5


async def test_a_twamp_light_sender_is_answered():
    """The 14 octets that RFC 5357 appendix I asks for, padded to 41, come back in their places (RFC 8762, section 4.6)."""
    now = (int(time.time()) + NTP_UNIX).to_bytes(4, "big") + bytes(4)
    with reflecting() as reflector:
        answer = await asked(reflector.port, (5).to_bytes(4, "big") + now + b"\x80\x01" + bytes(27))
    assert len(answer) == 41
    assert answer[24:28] == (5).to_bytes(4, "big")
    assert answer[28:36] == now
    assert answer[40] == 64
