"""RULES: the one list of what is judged of one host and its paths. To add one: its check, its words, one entry here."""

from agent.advice.knowledge import host as host_words
from agent.advice.knowledge import paths as path_words
from agent.advice.knowledge import tcp as tcp_words
from agent.advice.rule import Rule
from agent.advice.rules import buffers, devices, endpoints, mtu, overlays, paths, queues, tcp

RULES: tuple[Rule, ...] = (
    Rule("tcp-sack", tcp.sack, tcp_words.SACK),
    Rule("tcp-window-scaling", tcp.window_scaling, tcp_words.WINDOW_SCALING),
    Rule("tcp-buffers", buffers.tcp_buffers, tcp_words.TCP_BUFFERS),
    Rule("tcp-mem", buffers.tcp_mem, tcp_words.TCP_MEM),
    Rule("swappiness", buffers.swappiness, tcp_words.SWAPPINESS, preference=True),
    Rule(
        "slow-start-after-idle", tcp.slow_start_after_idle, tcp_words.SLOW_START_AFTER_IDLE, preference=True
    ),
    Rule("congestion-control", tcp.congestion_control, tcp_words.CONGESTION_CONTROL, preference=True),
    Rule("mtu-probing", mtu.mtu_probing, path_words.MTU_PROBING),
    Rule("retransmits", tcp.retransmits, tcp_words.RETRANSMITS),
    Rule("listen-queue", queues.listen_queue, host_words.LISTEN_QUEUE),
    Rule("zero-window", queues.zero_window, host_words.ZERO_WINDOW),
    Rule("softnet", queues.softnet, host_words.SOFTNET),
    Rule("offloads", devices.offloads, host_words.OFFLOADS),
    Rule("virt-acceleration", devices.virt_acceleration, host_words.VIRT_ACCELERATION),
    Rule("nic-driver", devices.nic_driver, host_words.NIC_DRIVER),
    Rule("path-mtu", mtu.path_mtu, path_words.PATH_MTU),
    Rule("pmtu-black-hole", mtu.pmtu_black_hole, path_words.PMTU_BLACK_HOLE),
    Rule("overlay-mtu", overlays.overlay_mtu, path_words.OVERLAY_MTU),
    Rule("overlay-kind", overlays.overlay_kind, path_words.OVERLAY_KIND),
    Rule("route-change", paths.route_change, path_words.ROUTE_CHANGE),
    Rule("p99-over-floor", paths.p99_over_floor, path_words.P99_OVER_FLOOR),
    Rule("qos", paths.qos, path_words.QOS),
    Rule("tls-key", endpoints.tls_key, path_words.TLS_KEY),
    Rule("udp-keepalive", endpoints.udp_keepalive, path_words.UDP_KEEPALIVE),
    Rule("ipv6", paths.ipv6, path_words.IPV6),
    Rule("reject-drop", endpoints.reject_drop, path_words.REJECT_DROP),
)
