"""`inspect SOURCE [FILE]`: what a parser makes of one file, as plain values for JSON.

SOURCES is the one list: name → "module:function" taking the file's bytes and returning typed or plain values, or
raising ParseError. Modules are imported when asked for, so that none of them costs the running agent anything.
"""

from importlib import import_module
from io import BytesIO
from typing import Any, BinaryIO

import msgspec

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
    "cgroup": "agent.kernel.cgroup:parse_cgroup",
    "cni": "agent.kernel.overlay_config:parse_cni",
    "conntrack": "agent.kernel.conntrack:parse_conntrack_stat",
    "cpuinfo": "agent.kernel.cpuinfo:parse_cpuinfo",
    "ethtool": "agent.kernel.ethtool:parse_settings",
    "ethtool-driver": "agent.kernel.ethtool:parse_driver",
    "ethtool-features": "agent.kernel.ethtool:parse_features",
    "ethtool-statistics": "agent.kernel.ethtool:parse_statistics",
    "flannel": "agent.kernel.overlay_config:parse_flannel_net_conf",
    "flannel-subnet": "agent.kernel.overlay_config:parse_flannel_subnet_env",
    "ip-address": "agent.kernel.ip_address:parse_ip_address",
    "ip-route": "agent.kernel.route:parse_ip_route",
    "ipv6-route": "agent.kernel.route:parse_ipv6_route",
    "kubernetes-overlay": "agent.kernel.overlay_objects:parse_kubernetes_yaml",
    "lscpu": "agent.kernel.lscpu:parse_lscpu",
    "meminfo": "agent.kernel.meminfo:parse_meminfo",
    "modules": "agent.kernel.modules:parse_modules",
    "net-dev": "agent.kernel.net_dev:parse_net_dev",
    "route": "agent.kernel.route:parse_route",
    "softirqs": "agent.kernel.softirqs:parse_softirqs",
    "softnet": "agent.kernel.softnet:parse_softnet",
    "stat": "agent.kernel.stat:parse_stat",
    "sysctl": "agent.kernel.sysctl:parse_sysctl",
    "sysctl.d": "agent.kernel.sysctl:parse_sysctl_file",
    "vmstat": "agent.kernel.meminfo:parse_vmstat",
    "wg-quick": "agent.kernel.overlay_config:parse_wg_quick",
}


STREAMED = frozenset({"pcap"})
"""Sources of any size: their function takes the open file, so that memory does not grow with it."""


def inspect(source: str, content: bytes | BinaryIO) -> Any:
    """The parsed content as JSON-ready values. Raises KeyError (unknown source), ParseError, or the stream's OSError."""
    module, _, function = SOURCES[source].partition(":")
    stream = BytesIO(content) if isinstance(content, bytes) else content
    result = getattr(import_module(module), function)(stream if source in STREAMED else stream.read())
    return msgspec.to_builtins(result, str_keys=True, order="deterministic", enc_hook=str)
