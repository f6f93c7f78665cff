"""`lightfloor-agent advise` over captured trees and this host: findings, files, and the articles' cases."""

import gzip
import json
import shutil
import subprocess
import sys

import pytest

from agent.advice.advise import advise
from agent.advice.finding import Severity
from agent.advice.rules.overlays import overlay_mtu
from agent.own_evidence import own_evidence, paths_of, spooled_windows
from agent.wire.batch import SCHEMA, Batch, Window, encode
from agent.wire.histogram import Histogram
from agent.wire.series import Family, Outcome, SeriesKey, TimeSource
from corpus import corpus_file, field_file, field_table
from host_samples import HOSTS

NOW_S = 1_790_000_000
MS = 1_000_000


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "agent", "advise", *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def findings(tree):
    done = command("--root", tree, "--json")
    assert done.returncode == 0, done.stderr
    return {finding["id"]: finding for finding in json.loads(done.stdout)}


def test_the_slow_node_of_hong_kong():
    """From its files alone: emulated CPU, emulated card, and an overlay configured for 1500 on a link of 1450."""
    found = findings(HOSTS / "hong-kong")
    assert found["virt-acceleration"]["severity"] == "critical"
    assert "e1000" in found["nic-driver"]["title"]
    overlay = found["overlay-mtu"]
    assert overlay["severity"] == "warning"
    assert "ip link set dev flannel.1 mtu 1400" in overlay["change"]
    assert "ip link set dev flannel.1 mtu 1450" in overlay["undo"]
    assert any(each["name"] == "interface.ens3.mtu" and each["value"] == 1450 for each in overlay["evidence"])


def test_the_articles_tcp_mem_on_512_mb():
    """4 GiB for TCP on a host of 470 MiB is flagged, and, being set on purpose, reported and not overruled."""
    found = findings(HOSTS / "kvm-vps-512mb")["tcp-mem"]
    assert found["severity"] == "warning"
    assert found["withheld"]
    assert "etc/sysctl.d/99-tuning.conf:2" in found["notes"][0]


def test_a_fitting_overlay_in_a_pod_is_no_warning():
    """VXLAN of 8951 on a link of 9001 is exact."""
    assert all(finding["severity"] == "info" for finding in findings(HOSTS / "flannel-node-pod").values())


def test_every_finding_has_the_contracts_keys():
    """Other programs are built on these names."""
    for tree in HOSTS.iterdir():
        for finding in findings(tree).values():
            assert {
                "id",
                "severity",
                "node",
                "title",
                "evidence",
                "change",
                "undo",
                "source",
            } <= finding.keys()


def test_chinese_is_complete():
    """--lang zh shows Chinese words and labels."""
    done = command("--root", HOSTS / "hong-kong", "--lang", "zh")
    assert "虚拟机本身很慢" in done.stdout
    assert "撤销" in done.stdout


def test_undecided_rules_are_listed_with_what_was_missing():
    """A tree without paths cannot tell of black holes, and says so."""
    done = command("--root", HOSTS / "hong-kong", "--undecided")
    assert "pmtu-black-hole: black holes: looked for on no path" in done.stdout
    shown = json.loads(command("--root", HOSTS / "hong-kong", "--undecided", "--json").stdout)
    assert any(each["id"] == "pmtu-black-hole" and each["severity"] == "unknown" for each in shown)


def test_an_empty_tree_is_undecided_not_healthy(tmp_path):
    """Nothing to read: no finding, every rule undecided, none crashes."""
    advice = advise(own_evidence(tmp_path, NOW_S))
    assert not advice.findings
    assert len(advice.undecided) >= 20


def test_a_root_that_is_no_folder_is_one_line(tmp_path):
    """What, where, what would be right; status 2."""
    done = command("--root", tmp_path / "gone")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "is no folder" in done.stderr


def test_this_host_is_judged():
    """The running machine gives findings or none, never a traceback."""
    done = command("--json", "--config.file", "/nonexistent")
    assert done.returncode == 0, done.stderr
    assert isinstance(json.loads(done.stdout), list)


def test_files_are_written_whole(tmp_path):
    """--write leaves three files and nothing half-made; the script can be run."""
    done = command("--root", HOSTS / "hong-kong", "--write", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["90-lightfloor.conf", "lightfloor-tune.sh", "lightfloor-tune.yml"]
    dry = subprocess.run(
        [tmp_path / "out" / "lightfloor-tune.sh", "--dry-run", "apply"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert dry.returncode == 0, dry.stderr


def window(probe, destination="SIN", start_s=NOW_S, **more):
    source = TimeSource.KERNEL if probe == "udp" else TimeSource.NONE
    key = SeriesKey("web1", destination, probe, Family.IPV4, source)
    return Window(key, start_s, 60, more.pop("outcomes", {}), **more)


def spool_of(folder, *windows):
    folder.mkdir()
    batch = Batch(SCHEMA, "web1", "0" * 32, 0, list(windows))
    (folder / f"00000000-0000000000-{'0' * 32}-000001.json.gz").write_bytes(gzip.compress(encode(batch)))
    return folder


def test_spooled_windows_tell_of_the_paths(tmp_path):
    """Without a collector: a black hole and a limited socket are seen from what waits in the spool."""
    rtt = Histogram.of([160 * MS] * 600)
    spool = spool_of(
        tmp_path / "spool",
        window("udp", outcomes={Outcome.OK: 600}, rtt=rtt),
        window(
            "mtu",
            outcomes={Outcome.OK: 1},
            gauges={"path_mtu_bytes": 1400.0, "black_hole": 1.0, "icmp_seen": 0.0},
        ),
        window("nat", gauges={"nat": 1.0, "mapping_lifetime_seconds": 30.0}),
        window("sockets", counters={"segments_sent": 9000, "segments_retransmitted": 900}),
    )
    (spool / f"00000000-0000000001-{'0' * 32}-000001.json.gz").write_bytes(b"damaged")
    evidence = own_evidence(HOSTS / "kvm-vps-512mb", NOW_S, spool)
    found = {finding.id: finding for finding in advise(evidence).findings}
    assert evidence.node == "web1"
    assert found["pmtu-black-hole"].severity == Severity.CRITICAL
    assert found["retransmits"].subjects == ("SIN",)
    assert "every 15 s" in str(found["udp-keepalive"].words)


def test_what_an_own_test_or_a_stolen_minute_lost_is_not_the_paths(tmp_path):
    """Losses of flagged minutes and segments of own tests count for nothing; the others do."""
    flagged = {"own_test_seconds": 15.0}
    sent = {"bytes_sent": 9_000_000, "bytes_retransmitted": 4_000_000}
    windows = [
        window("udp", outcomes={Outcome.OK: 300}),
        window("udp", start_s=NOW_S + 60, outcomes={Outcome.TIMEOUT: 300}, quality={"steal_ratio": 0.4}),
        window("sockets", start_s=NOW_S + 60, counters=sent, quality=flagged),
    ]
    spoiled = paths_of(windows)[0]
    assert (spoiled.loss_ratio, spoiled.retransmit_ratio) == (0.0, None)
    own = paths_of(
        [window("udp", outcomes={Outcome.OK: 200, Outcome.TIMEOUT: 200}), window("sockets", counters=sent)]
    )[0]
    assert own.loss_ratio == 0.5
    assert own.retransmit_ratio == pytest.approx(4 / 9)


def test_minutes_with_flags_give_no_latency(tmp_path):
    """Own bandwidth tests' minutes are the load, the others the rest."""
    calm = window("udp", outcomes={Outcome.OK: 60}, rtt=Histogram.of([20 * MS] * 60))
    loaded = window(
        "udp", start_s=NOW_S + 60, outcomes={Outcome.OK: 60}, rtt=Histogram.of([300 * MS] * 60),
        quality={"own_test_seconds": 15.0},
    )  # fmt: skip
    path = paths_of(spooled_windows(spool_of(tmp_path / "spool", calm, loaded)))[0]
    assert path.samples == 60
    assert path.p50_ns == pytest.approx(20 * MS, rel=0.02)
    assert path.loaded_p50_ns == pytest.approx(300 * MS, rel=0.02)


def tree_of(tmp_path, link_mtu, files):
    """A host with one link and these files."""
    for name, value in {"mtu": str(link_mtu), "ifindex": "2", "operstate": "up", "iflink": "2"}.items():
        file = tmp_path / "sys/class/net/eth0" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value + "\n")
    route = tmp_path / "proc/net/route"
    route.parent.mkdir(parents=True)
    route.write_text(
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    )
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


@pytest.mark.corpus
@pytest.mark.parametrize("row", range(6))
def test_calicos_own_table(tmp_path, row):
    """For each network MTU the table's overlay MTUs are exact, one byte more is too large."""
    table = field_table("9-expected/calico_mtu_table.tsv")[row]
    if "AKS" in table["network_mtu"]:
        pytest.skip(
            "AKS: the interface says 1500 and the path carries 1400; the path's own measurement tells"
        )
    link = int(table["network_mtu"].split()[0])
    for column, (kind, family) in {
        "ipip_ipv4": ("ipip", "ipv4"), "vxlan_ipv4": ("vxlan", "ipv4"), "vxlan_ipv6": ("vxlan", "ipv6"),
        "wireguard_ipv4": ("wireguard", "ipv4"), "wireguard_ipv6": ("wireguard", "ipv6"),
    }.items():  # fmt: skip
        for extra, faulty in ((0, False), (1, True)):
            from hosts import host

            facts = {
                "overlay.t0.kind": kind, "overlay.t0.underlay_family": family, "overlay.t0.underlay_mtu": link,
                "overlay.t0.mtu": int(table[column]) + extra, "interface.eth0.mtu": link,
            }  # fmt: skip
            assert (overlay_mtu(host(facts, paths=[])) is not None) == faulty, (column, extra)


CNI_FILES = {
    "cni_flannel_net-conf_vxlan.json": "etc/kube-flannel/net-conf.json",
    "cni_flannel_kube-flannel-cfg_configmap.yaml": "etc/kube-flannel/configmap.yaml",
    "cni_flannel_subnet_dualstack.env": "run/flannel/subnet.env",
    "cni_calico_ippool_vxlan_always_live.yaml": "etc/calico/ippool.yaml",
    "cni_calico_felixconfiguration_wireguard_v3.yaml": "etc/calico/felix.yaml",
    "cni_calico_installation_vxlan_crosssubnet_operator.yaml": "etc/calico/installation.yaml",
    "cni_wg-quick_client_default_route.conf": "etc/wireguard/wg0.conf",
}


@pytest.mark.corpus
@pytest.mark.parametrize("name", sorted(CNI_FILES))
def test_real_overlay_files_are_judged(tmp_path, name):
    """On a link of 9000 nothing real is too large, on one of 1280 whatever states its kind and MTU is; nothing crashes."""
    data = field_file(f"7-host/{name}")
    wide = advise(own_evidence(tree_of(tmp_path / "wide", 9000, {CNI_FILES[name]: data}), NOW_S))
    assert all(finding.severity == Severity.INFO for finding in wide.findings)
    narrow = own_evidence(tree_of(tmp_path / "narrow", 1280, {CNI_FILES[name]: data}), NOW_S)
    states_mtu = any(
        isinstance(fact.value, dict) and "kind" in fact.value and {"mtu", "underlay_mtu"} & fact.value.keys()
        for fact_name, fact in narrow.facts.items()
        if fact_name.startswith("overlay_config.")
    )
    found = [finding for finding in advise(narrow).findings if finding.id == "overlay-mtu"]
    assert bool(found) == states_mtu


@pytest.mark.corpus
def test_a_real_hosts_sysctls(tmp_path):
    """A whole `sysctl -a` of CentOS 7 as a tree: defaults of a real host are no warning."""
    for line in corpus_file("7-host/sysctl_a_centos7.7.txt").read_text(errors="replace").splitlines():
        key, sign, value = line.partition(" = ")
        if sign and key.startswith(("net.", "vm.", "kernel.osrelease")) and "/" not in key:
            file = tmp_path / "proc/sys" / key.replace(".", "/")
            file.parent.mkdir(parents=True, exist_ok=True)
            if not file.is_dir():
                file.write_text(value + "\n")
    (tmp_path / "proc/meminfo").write_text("MemTotal: 8010716 kB\nSwapTotal: 0 kB\n")
    assert [f.id for f in advise(own_evidence(tmp_path, NOW_S)).findings if f.severity != Severity.INFO] == []


@pytest.mark.corpus
def test_the_blogs_tuning_file_is_flagged(tmp_path):
    """tcp_mem of 33554432 pages is 128 GiB on any VPS: flagged, and as set on purpose left alone."""
    blog = corpus_file("7-host/sysctl_d_blog_bbr_64MB.conf")
    target = tmp_path / "etc/sysctl.d/99-blog.conf"
    target.parent.mkdir(parents=True)
    shutil.copy(blog, target)
    memory = tmp_path / "proc/sys/net/ipv4/tcp_mem"
    memory.parent.mkdir(parents=True)
    memory.write_text("33554432\t33554432\t33554432\n")
    (tmp_path / "proc/meminfo").write_text("MemTotal: 1010716 kB\nSwapTotal: 0 kB\n")
    found = {finding.id: finding for finding in advise(own_evidence(tmp_path, NOW_S)).findings}
    assert found["tcp-mem"].severity == Severity.WARNING
    assert "etc/sysctl.d/99-blog.conf" in found["tcp-mem"].notes[0].en


@pytest.mark.corpus
def test_esnets_buffers_follow_from_the_product():
    """10 Gbit/s at 100 ms asks for what ESnet asks for, within a power of two; at 200 ms for twice that."""
    from hosts import host, path

    rows = [
        row
        for row in field_table("9-expected/esnet_fasterdata_host_tuning.tsv")
        if row["key"] == "net.ipv4.tcp_rmem"
    ]
    for row in rows:
        if not row["host"].startswith("10G"):
            continue
        rtt_ns = int(row["path_rtt_ms"].lstrip("<=")) * MS
        fat = path(p50_ns=rtt_ns, throughput_bits_per_second=1e10, rwnd_limited_seconds=500.0)
        found = {f.id: f for f in advise(host({"memory.total_bytes": 64 << 30}, paths=[fat])).findings}[
            "tcp-buffers"
        ]
        ours = next(int(s.value.split()[2]) for s in found.steps if s.key == "net.ipv4.tcp_rmem")
        assert int(row["value"].split()[2]) <= ours <= 8 * int(row["value"].split()[2])
