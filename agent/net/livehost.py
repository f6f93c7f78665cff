"""What only the running host tells: its drivers, its links and routes with their metrics, its clock, its CPUID."""

from agent.hostcounters import ClockState
from agent.kernel.ethtool import Driver, Feature, LinkSettings
from agent.kernel.ethtool_ioctl import Channels, Timestamping
from agent.kernel.route import Route
from agent.kernel.rtnetlink import NetlinkLink
from agent.net import adjtimex, cpuid, rtnetlink
from agent.net.ethtool import Ethtool


class LiveHost:
    """Questions to the kernel. Every method raises OSError or ParseError when there is no answer."""

    def __init__(self) -> None:
        self._ethtool = Ethtool()

    def close(self) -> None:
        self._ethtool.close()

    def hypervisor_vendor(self) -> str:
        return cpuid.hypervisor_vendor()

    def clock_state(self) -> ClockState:
        return adjtimex.clock_state()

    def links(self) -> tuple[NetlinkLink, ...]:
        return rtnetlink.links()

    def routes(self, interfaces: dict[int, str]) -> tuple[Route, ...]:
        return rtnetlink.routes(interfaces)

    def driver(self, interface: str) -> Driver:
        return self._ethtool.driver(interface)

    def features(self, interface: str) -> dict[str, Feature]:
        return self._ethtool.features(interface)

    def link_settings(self, interface: str) -> LinkSettings:
        return self._ethtool.link_settings(interface)

    def channels(self, interface: str) -> Channels:
        return self._ethtool.channels(interface)

    def timestamping(self, interface: str) -> Timestamping:
        return self._ethtool.timestamping(interface)
