"""Wires beside the WAN: a veth pair between two nodes, or between a node and the machine the tests run on."""

import secrets
import subprocess
from dataclasses import dataclass

from lab.netns import LabError
from lab.node import Node

MANAGEMENT_DEVICE = "mgmt0"


@dataclass(frozen=True, slots=True)
class Link:
    """A direct Ethernet between two nodes: `device` at both ends, addresses by node name."""

    device: str
    addresses: dict[str, str]
    addresses6: dict[str, str]


@dataclass(frozen=True, slots=True)
class ManagementLink:
    """From this machine, the node's ports are at node_address; the node reaches this machine at host_address."""

    host_device: str
    host_address: str
    node_address: str


def join(one: Node, other: Node, number: int) -> Link:
    """Connect two nodes by veth link `number` of the world; delays are the kernel's own, some microseconds."""
    device = f"link{number}"
    nodes = (one, other)
    link = Link(
        device=device,
        addresses={node.name: f"198.19.{128 + number}.{end}" for end, node in enumerate(nodes, 1)},
        addresses6={node.name: f"2001:2:0:fe{number:02x}::{end}" for end, node in enumerate(nodes, 1)},
    )
    one.ip(f"link add {device} type veth peer name {device} netns {other.namespace.path}")
    for node in nodes:
        node.ip(
            f"link set {device} addrgenmode none up",
            f"address add {link.addresses[node.name]}/30 dev {device}",
            f"address add {link.addresses6[node.name]}/64 dev {device} nodad",
        )
    return link


def join_host(node: Node) -> ManagementLink:
    """Connect a node with the namespace of this process, on a free /30 of 169.254.0.0/16."""
    taken = _host_ip("-o", "address")
    prefix = ""
    while not prefix or f" {prefix}." in taken:
        prefix = f"169.254.{1 + secrets.randbelow(254)}"
    device = f"lf{secrets.token_hex(4)}"
    link = ManagementLink(host_device=device, host_address=f"{prefix}.1", node_address=f"{prefix}.2")
    peer = ("peer", "name", MANAGEMENT_DEVICE, "netns", node.namespace.path)
    _host_ip("link", "add", device, "type", "veth", *peer)
    _host_ip("address", "add", f"{link.host_address}/30", "dev", device)
    _host_ip("link", "set", device, "up")
    node.ip(
        f"link set {MANAGEMENT_DEVICE} addrgenmode none up",
        f"address add {link.node_address}/30 dev {MANAGEMENT_DEVICE}",
    )
    return link


def _host_ip(*words: str) -> str:
    done = subprocess.run(("ip", *words), capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
