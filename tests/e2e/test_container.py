"""The images, built by buildah, and the Kubernetes manifests' containers, run by runc as a kubelet would start them."""

import shutil
import time
from pathlib import Path

import pytest
import trustme
import yaml

from lab.cleanroot import clean_root
from lab.images import Images, require_containers
from lab.netns import LabError
from lab.pod import Pod
from lab.world import World

ROOT = Path(__file__).resolve().parents[2]
BASE = "localhost/lightfloor-test-base"
SERVICE = "lightfloor-collector.lightfloor.svc"
pytestmark = [pytest.mark.netns, pytest.mark.debian, pytest.mark.slow, pytest.mark.timeout(400)]


def manifest(file, kind):
    documents = yaml.safe_load_all((ROOT / "deploy/kubernetes" / file).read_text())
    return next(document for document in documents if document["kind"] == kind)


@pytest.fixture(scope="module")
def images(tmp_path_factory, packages):
    """Both images, from a clean Debian in place of the registry's; the build's context is as .dockerignore leaves it."""
    require_containers()
    root = clean_root()
    context = tmp_path_factory.mktemp("context")
    shutil.copytree(ROOT / "deploy/container", context / "deploy/container")
    shutil.copytree(packages, context / "run/packages")
    shutil.copy(ROOT / ".dockerignore", context)
    made = Images(tmp_path_factory.mktemp("images"))
    made.take_root(root, BASE)
    try:
        for target in ("lightfloor-agent", "lightfloor-collector"):
            made.build(context, context / "deploy/container/Containerfile", target, BASE)
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def world():
    with World(["fra", "nyc"]) as made:
        yield made


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def collector(images, world, authority, tmp_path_factory):
    """The StatefulSet's pod on a node of its own: (node, pod)."""
    folder, node = tmp_path_factory.mktemp("collector"), world["nyc"]
    volumes = {name: folder / "volumes" / name for name in ("configuration", "tls", "store", "tmp")}
    for path in volumes.values():
        path.mkdir(parents=True)
    issued = authority.issue_cert(SERVICE)
    issued.private_key_pem.write_to_path(volumes["tls"] / "tls.key")
    issued.cert_chain_pems[0].write_to_path(volumes["tls"] / "tls.crt")
    for name, text in manifest("collector.yaml", "ConfigMap")["data"].items():
        (volumes["configuration"] / name).write_text(text)
    shutil.chown(volumes["store"], group=990)  # what fsGroup does
    volumes["store"].chmod(0o2770)
    specification = manifest("collector.yaml", "StatefulSet")["spec"]["template"]["spec"]
    pod = Pod("collector", specification, images, folder, volumes, node.namespace.path)
    with pod.running("collector") as log:
        until(lambda: asked(node, pod, "startupProbe"), log)
        yield node, pod


@pytest.fixture
def agent(images, world, authority, collector, tmp_path):
    """The DaemonSet's pod on the node fsn-1, enrolled; not started yet."""
    node = world["fra"]
    volumes = {
        name: tmp_path / "volumes" / name
        for name in ("template", "configuration", "ca", "tokens", "state", "tmp")
    }
    for path in volumes.values():
        path.mkdir(parents=True)
    for name, text in manifest("agent.yaml", "ConfigMap")["data"].items():
        (volumes["template"] / name).write_text(text)
    authority.cert_pem.write_to_path(volumes["ca"] / "ca.crt")
    enroll = ("lightfloor-collector", "enroll", "fsn-1", "--rotate", "--token-only")
    enrolled = collector[1].exec("collector", *enroll)
    (volumes["tokens"] / "fsn-1").write_text(enrolled.stdout)
    (volumes["tokens"] / "sin-1").write_text("another node's")
    specification = manifest("agent.yaml", "DaemonSet")["spec"]["template"]["spec"]
    names = tmp_path / "hosts"
    names.write_text(f"127.0.0.1 localhost\n{collector[0].address} {SERVICE}\n")
    return Pod(
        "agent",
        specification,
        images,
        tmp_path,
        volumes,
        node.namespace.path,
        {"spec.nodeName": "fsn-1"},
        names,
    )


def asked(node, pod, kind):
    """Whether the pod's one container passes one of its probes."""
    (container,) = pod.specification["containers"]
    probe = container[kind]["httpGet"]
    (port,) = (each["containerPort"] for each in container["ports"] if each["name"] == probe["port"])
    url = f"{probe.get('scheme', 'HTTP').lower()}://127.0.0.1:{port}{probe['path']}"
    return node.run(["curl", "-fsk", "--max-time", "3", url], check=False).returncode == 0


def until(what, log, seconds=40):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


def test_the_images_say_how_they_are_run(images):
    """Neither runs as root; each has a health check, its ports and its state as a volume; no program is setuid."""
    for name, user, ports in (
        ("agent", "980:980", {"10980/tcp", "10981/tcp", "10981/udp"}),
        ("collector", "990:990", {"10990/tcp"}),
    ):
        configuration = images.configuration(f"localhost/lightfloor-{name}")
        assert configuration["User"] == user
        assert set(configuration["ExposedPorts"]) == ports
        assert configuration["Healthcheck"]["Test"] == ["CMD", "healthy", min(ports).partition("/")[0]]
        root = images.mount(f"localhost/lightfloor-{name}")
        assert [path for path in root.rglob("*") if path.is_file() and path.lstat().st_mode & 0o6000] == []
        assert list((root / "var/lib/apt/lists").iterdir()) == []


def test_on_kubernetes_an_agent_joins_and_measures(collector, agent, world):
    """Each pod's containers run within their security contexts: the agent gets its peers over TLS with its own token,
    its raw probes work, its probes pass, and its spool is on the node."""
    node = world["fra"]
    agent.run("prepare")
    assert (
        (agent.volumes["configuration"] / "agent.toml").read_text().startswith('node = "fsn-1"\n[collector]')
    )
    with agent.running("agent") as log:
        until(lambda: asked(node, agent, "readinessProbe"), log)
        assert asked(node, agent, "livenessProbe")
        until(lambda: "lightfloor_peers 1.0" in metrics(node), log)
        seen = agent.exec("agent", "sh", "-c", "id -u; cat /run/lightfloor/token; ls /run/lightfloor")
        assert seen.stdout.split() == [
            "980",
            (agent.volumes["tokens"] / "fsn-1").read_text().strip(),
            "ca",
            "token",
        ]
        by_hand = ["agent", "probe", "syn", "127.0.0.1:10981", "-c", "3", "-i", "0.1", "--json"]
        assert '"ok": 3' in agent.exec("agent", *by_hand).stdout
        assert agent.exec("agent", "healthy", "10980").returncode == 0
        assert (agent.volumes["state"] / "assignment.json").exists()
        assert agent.exec("agent", "touch", "/etc/passwd").returncode != 0
    node, pod = collector
    assert asked(node, pod, "livenessProbe")
    assert asked(node, pod, "readinessProbe")
    assert pod.exec("collector", "healthy", "10990").returncode == 0


@pytest.mark.parametrize(
    "change", [{"capabilities": {"drop": ["ALL"]}}, {"allowPrivilegeEscalation": False}], ids=str
)
def test_without_the_capability_the_agent_runs_without_raw_sockets(agent, world, change):
    """Where the pod gets no NET_RAW, or nothing by a file's capability, the agent starts and says what is unavailable."""
    (container,) = agent.specification["containers"]
    container["securityContext"] |= change
    agent.run("prepare")
    with agent.running("agent") as log:
        until(lambda: asked(world["fra"], agent, "livenessProbe"), log)
        tried = agent.exec("agent", "agent", "probe", "syn", "127.0.0.1:10981", "-c", "1", "--json")
        assert '"unavailable": 1' in tried.stdout


def test_a_configuration_that_is_wrong_stops_before_the_agent(agent):
    """The init container says what is wrong, where."""
    (agent.volumes["template"] / "agent.toml").write_text("colector = 1\n")
    with pytest.raises(LabError, match="colector: unknown key; did you mean collector"):
        agent.run("prepare")


def metrics(node):
    return node.run(["curl", "-sS", "--max-time", "5", "http://127.0.0.1:10980/metrics"], check=False).stdout
