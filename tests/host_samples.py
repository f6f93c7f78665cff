"""One good input for each parser of host facts: what its tests and the fuzzing start from."""

from pathlib import Path

FIXTURES = Path(__file__).parent / "fixtures"
HOST = FIXTURES / "host"
HOSTS = FIXTURES / "hosts"


def recorded(name):
    """A file recorded on a real host."""
    return (HOST / name).read_bytes()


def of_tree(path):
    """A file of one of the captured trees."""
    return (HOSTS / path).read_bytes()


IP_POOL = b"""apiVersion: projectcalico.org/v3
kind: IPPool
metadata:
  name: default
spec:
  cidr: 10.0.0.0/16
  ipipMode: CrossSubnet
"""
CILIUM = b"""apiVersion: v1
kind: ConfigMap
metadata:
  name: cilium-config
data:
  tunnel-protocol: geneve
  routing-mode: tunnel
  enable-wireguard: "true"
  mtu: "1450"
"""

# name of the inspect source → sample
SAMPLES = {
    "cgroup": of_tree("hong-kong/proc/self/cgroup"),
    "cni": b'{"cniVersion": "0.3.1", "name": "k8s", "plugins": [{"type": "calico", "mtu": 1430}, {"type": "portmap"}]}',
    "conntrack": of_tree("kvm-vps-512mb/proc/net/stat/nf_conntrack"),
    "cpuinfo": recorded("cpuinfo_6.18_epyc_guest.txt"),
    "ethtool": recorded("ethtool_virtio_6.18.txt"),
    "ethtool-driver": recorded("ethtool_i_virtio_6.18.txt"),
    "ethtool-features": recorded("ethtool_k_virtio_6.18.txt"),
    "ethtool-statistics": recorded("ethtool_S_virtio_6.18.txt"),
    "flannel": of_tree("hong-kong/etc/kube-flannel/net-conf.json"),
    "flannel-subnet": of_tree("hong-kong/run/flannel/subnet.env"),
    "ip-address": recorded("ip_d_link_6.18.txt"),
    "ip-route": recorded("ip_route_6.18.txt"),
    "ipv6-route": recorded("ipv6_route_6.18.txt"),
    "kubernetes-overlay": IP_POOL + b"---\n" + CILIUM,
    "lscpu": recorded("lscpu_2.38_kvm.txt"),
    "meminfo": recorded("meminfo_6.18.txt"),
    "modules": of_tree("kvm-vps-512mb/proc/modules"),
    "net-dev": recorded("net_dev_6.18.txt"),
    "route": recorded("route_mtu_6.18.txt"),
    "softirqs": recorded("softirqs_6.18_2cpu.txt"),
    "softnet": recorded("softnet_stat_6.18_2cpu.txt"),
    "stat": recorded("stat_6.18_2cpu.txt"),
    "sysctl": recorded("sysctl_a_6.18.txt"),
    "sysctl.d": of_tree("kvm-vps-512mb/etc/sysctl.d/99-tuning.conf"),
    "vmstat": recorded("vmstat_6.18.txt"),
    "wg-quick": of_tree("hong-kong/etc/wireguard/wg0.conf"),
}
