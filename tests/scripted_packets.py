"""A network for packet probes that sends nothing: tests say when a packet was stamped and what comes back."""

from agent.flight import Instant, fly
from agent.net.endpoint import Endpoint
from agent.sample import Burst, Target
from agent.wire.series import Family

SOURCE = {Family.IPV4: "192.0.2.1", Family.IPV6: "2001:db8::1"}
PEER = {Family.IPV4: "192.0.2.9", Family.IPV6: "2001:db8::9"}
PORTS = range(61000, 65000)
T0 = 1_800_000_000_000_000_000


class ScriptedChannel:
    """Keeps what was sent: (packet, address, flight). send_error is raised instead when set."""

    def __init__(self, session) -> None:
        self.session = session
        self.sent = []
        self.send_error = None

    def now_ns(self) -> int:
        return T0 + len(self.sent)

    def send(self, packet, address, flight) -> None:
        if self.send_error is not None:
            raise self.send_error
        self.sent.append((packet, address, flight))

    def stamp(self, index=-1, tx_ns=T0) -> None:
        """The kernel's TX stamp of a packet arrives."""
        flight = self.sent[index][2]
        flight.tx_ns = tx_ns
        self.session.book.stamped(flight)

    def receive(self, data, rx_ns, *, address=None, ttl=60, offset_ns=0) -> None:
        self.session.received(data, address or self.sent[-1][1], rx_ns, ttl, offset_ns)


class ScriptedNetwork:
    """One channel per family. script(channel) is run where a burst waits; time stands at mono_ns."""

    def __init__(self, kind, *, identifier=None) -> None:
        self.channels = {
            family: ScriptedChannel(kind.session(Endpoint(None, family, PORTS, identifier)))
            for family in Family
        }
        self.script = lambda _channel: None
        self.mono_ns = 0
        self.offset_ns = 0
        self.own_clock_error_ns = None
        self.lacks = None
        self.secrets = {}
        self.events = []
        self.memory = {}

    def channel(self, _kind, family):
        if self.lacks is not None:
            raise self.lacks
        return self.channels[family]

    async def wait(self, _volley, _timeout_seconds) -> None:
        for channel in self.channels.values():
            if channel.sent:
                self.script(channel)

    def instant(self) -> Instant:
        return Instant(self.mono_ns, self.offset_ns)

    def source_address(self, _address, family) -> str:
        return SOURCE[family]

    def clock_error_ns(self):
        return self.own_clock_error_ns

    def read_secret(self, path) -> str:
        return self.secrets[path]


def target(family=Family.IPV4, name="fra") -> Target:
    return Target(name, family, PEER[family], 10981)


async def one_burst(kind, network, options, *targets, script=None):
    """Run one burst; the samples by target, in the order they ended. A target that got two fails the test."""
    samples = {}

    def record(of, sample) -> None:
        assert of not in samples, "a probe has one outcome"
        samples[of] = sample

    def event(of, name, detail) -> None:
        network.events.append((of, name, dict(detail)))

    if script is not None:
        network.script = script
    await fly(Burst(options, 2.0, targets or [target()], network, record, event, network.memory), kind)
    return samples


async def one_sample(kind, network, options, script=None, of=None):
    """The sample of a burst with one target."""
    samples = await one_burst(kind, network, options, *([of] if of else []), script=script)
    return next(iter(samples.values()))
