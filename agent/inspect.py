"""`inspect SOURCE [FILE]`: what a parser makes of one file, as plain values for JSON.

SOURCES is the one list: name → "module:function" taking the file's bytes and returning JSON-ready values or
raising ParseError. Modules are imported when asked for, so that none of them costs the running agent anything.
"""

from importlib import import_module
from typing import Any

SOURCES: dict[str, str] = {
    "netstat": "agent.kernel.netstat:parse_netstat",
    "snmp": "agent.kernel.netstat:parse_snmp",
    "snmp6": "agent.kernel.snmp6:parse_snmp6",
    "sockstat": "agent.kernel.sockstat:parse_sockstat",
    "ss": "agent.kernel.ss:inspect_ss",
    "iperf3": "agent.probes.iperf3_report:inspect",
    "pcap": "agent.kernel.capture:inspect",
    "mtr": "agent.kernel.mtr:inspect",
    "ping": "agent.kernel.ping:inspect",
    "ripe-atlas": "agent.kernel.ripe_atlas:inspect",
    "traceroute": "agent.kernel.traceroute:inspect",
    "qperf": "agent.probes.qperf:inspect",
}


def inspect(source: str, data: bytes) -> Any:
    """The parsed content of data as JSON-ready values. Raises KeyError (unknown source) or ParseError."""
    module, _, function = SOURCES[source].partition(":")
    return getattr(import_module(module), function)(data)
