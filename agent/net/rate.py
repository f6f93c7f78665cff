"""At most so many per second from each source, for what answers strangers."""

import ipaddress
from collections import OrderedDict

from agent.schedule import RateCap

_SOURCES_REMEMBERED = 4096


def rate_key(address: str) -> str:
    """What one sender is: an IPv4 address, or an IPv6 /64 because hosts choose the rest at will."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.IPv6Network((int(ip) >> 64 << 64, 64)))
    return str(ip)


class SourceRates:
    """One rate cap for each source that was seen lately."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._caps: OrderedDict[str, RateCap] = OrderedDict()

    def allow(self, address: str, mono_ns: int) -> bool:
        """Whether this source may have one more now."""
        key = rate_key(address)
        cap = self._caps.pop(key, None) or RateCap(self._per_second, mono_ns)
        self._caps[key] = cap
        if len(self._caps) > _SOURCES_REMEMBERED:
            self._caps.popitem(last=False)
        return cap.allow(mono_ns)
