"""Which autonomous system announces an address, from a local table: one `prefix,AS number` a line. Pure."""

import ipaddress
import re

from agent.kernel.parse_error import ParseError

_SEPARATOR = re.compile(r"[\s,;]+")
_AS_NUMBER = re.compile(r"[0-9]{1,10}")
_BITS = {4: 32, 6: 128}


class AsTable:
    """Longest prefix first. Prefixes are kept by version and length, as integers."""

    def __init__(self) -> None:
        self._networks: dict[tuple[int, int], dict[int, int]] = {}

    def add(self, network: ipaddress.IPv4Network | ipaddress.IPv6Network, number: int) -> None:
        """The later of two entries for one prefix counts."""
        shift = network.max_prefixlen - network.prefixlen
        prefixes = self._networks.setdefault((network.version, network.prefixlen), {})
        prefixes[int(network.network_address) >> shift] = number

    def find(self, address: str) -> int | None:
        """AS number of the longest prefix that holds the address; None where there is none, or no address."""
        try:
            ip = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return None
        bits = _BITS[ip.version]
        for version, length in sorted(self._networks, reverse=True):
            if version == ip.version:
                number = self._networks[version, length].get(int(ip) >> bits - length)
                if number is not None:
                    return number
        return None


def parse_as_table(text: str) -> AsTable:
    """`192.0.2.0/24,64496`, or with tabs or blanks, AS before the number or not; `#` begins a comment. Raises ParseError."""
    table = AsTable()
    for index, line in enumerate(text.splitlines(), 1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        fields = _SEPARATOR.split(content)
        digits = fields[1].upper().removeprefix("AS") if len(fields) > 1 else ""
        if not _AS_NUMBER.fullmatch(digits) or int(digits) >= 1 << 32:
            raise ParseError("AS table", f"line {index}", "expected PREFIX,ASN with an AS number", line)
        try:
            network = ipaddress.ip_network(fields[0])
        except ValueError as error:
            raise ParseError("AS table", f"line {index}", f"expected PREFIX,ASN: {error}", line) from None
        table.add(network, int(digits))
    return table
