"""RULES: the one list of what is judged of one host and its paths. To add one: its check, its words, one entry here."""

from agent.advice.knowledge import host, paths, tcp
from agent.advice.rule import Rule
from agent.advice.rules import buffers, devices, endpoints, mtu, overlays, queues
from agent.advice.rules import paths as path_rules
from agent.advice.rules import tcp as tcp_rules

RULES: tuple[Rule, ...] = (
    Rule("tcp-sack", tcp_rules.sack, tcp.SACK),
    Rule("tcp-window-scaling", tcp_rules.window_scaling, tcp.WINDOW_SCALING),
    Rule("tcp-buffers", buffers.tcp_buffers, tcp.TCP_BUFFERS),
    Rule("tcp-mem", buffers.tcp_mem, tcp.TCP_MEM),
    Rule("swappiness", buffers.swappiness, tcp.SWAPPINESS, preference=True),
    Rule(
        "slow-start-after-idle", tcp_rules.slow_start_after_idle, tcp.SLOW_START_AFTER_IDLE, preference=True
    ),
    Rule("congestion-control", tcp_rules.congestion_control, tcp.CONGESTION_CONTROL, preference=True),
    Rule("mtu-probing", mtu.mtu_probing, paths.MTU_PROBING),
    Rule("retransmits", tcp_rules.retransmits, tcp.RETRANSMITS),
    Rule("listen-queue", queues.listen_queue, host.LISTEN_QUEUE),
    Rule("zero-window", queues.zero_window, host.ZERO_WINDOW),
    Rule("softnet", queues.softnet, host.SOFTNET),
    Rule("offloads", devices.offloads, host.OFFLOADS),
    Rule("virt-acceleration", devices.virt_acceleration, host.VIRT_ACCELERATION),
    Rule("nic-driver", devices.nic_driver, host.NIC_DRIVER),
    Rule("path-mtu", mtu.path_mtu, paths.PATH_MTU),
    Rule("pmtu-black-hole", mtu.pmtu_black_hole, paths.PMTU_BLACK_HOLE),
    Rule("overlay-mtu", overlays.overlay_mtu, paths.OVERLAY_MTU),
    Rule("overlay-kind", overlays.overlay_kind, paths.OVERLAY_KIND),
    Rule("route-change", path_rules.route_change, paths.ROUTE_CHANGE),
    Rule("p99-over-floor", path_rules.p99_over_floor, paths.P99_OVER_FLOOR),
    Rule("qos", path_rules.qos, paths.QOS),
    Rule("tls-key", endpoints.tls_key, paths.TLS_KEY),
    Rule("udp-keepalive", endpoints.udp_keepalive, paths.UDP_KEEPALIVE),
    Rule("ipv6", path_rules.ipv6, paths.IPV6),
    Rule("reject-drop", endpoints.reject_drop, paths.REJECT_DROP),
)
