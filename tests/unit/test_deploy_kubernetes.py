"""The Kubernetes manifests: valid in themselves, and one with another, with the programs and with the images."""

import re
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from agent.config import load
from collector.config import read_config
from collector.fleet import read_fleet

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
FILES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
DOCUMENTS = [document for file in FILES for document in yaml.safe_load_all(file.read_text())]
BY_NAME = {(document["kind"], document["metadata"]["name"]): document for document in DOCUMENTS}
WORKLOADS = [document for document in DOCUMENTS if document["kind"] in {"DaemonSet", "StatefulSet"}]


def pod(workload):
    return workload["spec"]["template"]["spec"]


def containers(workload):
    return [*pod(workload).get("initContainers", ()), *pod(workload)["containers"]]


@pytest.mark.parametrize("version", ["1.28", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: f"{d['kind']} {d['metadata']['name']}")
def test_each_object_keeps_the_schema(document, version):
    """Kubernetes' own schema, strictly: no key that it does not know, in an older and in the newest version."""
    kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda w: w["kind"])
def test_what_a_workload_names_is_there(workload):
    """Selectors, mounted volumes, probed ports and named ConfigMaps exist; Secrets and the CA are said to be the operator's."""
    template = workload["spec"]["template"]
    assert workload["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    volumes = {volume["name"] for volume in template["spec"]["volumes"]}
    volumes |= {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", ())}
    mounted = {mount["name"] for each in containers(workload) for mount in each["volumeMounts"]}
    assert mounted == volumes
    file = next(file for file in FILES if f"kind: {workload['kind']}" in file.read_text())
    head = re.sub(r"[#:,]", " ", file.read_text().partition("apiVersion")[0])
    for volume in template["spec"]["volumes"]:
        if "configMap" in volume and ("ConfigMap", volume["configMap"]["name"]) not in BY_NAME:
            assert volume["configMap"]["name"] in head.split()
        if "secret" in volume:
            assert volume["secret"]["secretName"] in head.split()
    for container in template["spec"]["containers"]:
        ports = {port["name"] for port in container["ports"]}
        for probe in ("livenessProbe", "readinessProbe"):
            assert container[probe]["httpGet"]["port"] in ports


def test_the_service_leads_to_the_collector_by_the_name_that_agents_use():
    """Its selector and port are the StatefulSet's, and its address is the agents' collector.url."""
    service, workload = (
        BY_NAME["Service", "lightfloor-collector"],
        BY_NAME["StatefulSet", "lightfloor-collector"],
    )
    labels = workload["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    (port,) = service["spec"]["ports"]
    assert port["targetPort"] in {each["name"] for each in containers(workload)[0]["ports"]}
    metadata = service["metadata"]
    url = f"https://{metadata['name']}.{metadata['namespace']}.svc:{port['port']}"
    assert f'url = "{url}"' in BY_NAME["ConfigMap", "lightfloor-agent"]["data"]["agent.toml"]


def test_the_configurations_are_taken_by_the_programs(tmp_path):
    """Each ConfigMap's text is a configuration without errors, with the paths that the containers mount, and their ports."""
    for (kind, _), document in BY_NAME.items():
        for name, text in document["data"].items() if kind == "ConfigMap" else ():
            head = 'node = "fsn-1"\n' if name == "agent.toml" else ""
            (tmp_path / name).write_text(head + text)
    agent, collector = load(tmp_path / "agent.toml"), read_config(tmp_path / "collector.toml")
    assert "fsn-1" in read_fleet(Path(collector.fleet.path)).nodes
    targets = {
        mount["mountPath"] for each in WORKLOADS for c in containers(each) for mount in c["volumeMounts"]
    }
    assert agent.collector.token_file in targets
    paths = [
        agent.collector.ca_file,
        collector.server.tls_cert,
        collector.server.tls_key,
        collector.store.path,
    ]
    assert {str(Path(path).parent) for path in paths} <= targets
    assert agent.state_directory in targets
    ports = {
        str(port["containerPort"])
        for each in WORKLOADS
        for c in pod(each)["containers"]
        for port in c["ports"]
    }
    listening = (agent.exporter.listen_address, agent.responder.listen_address, f":{collector.server.port}")
    assert {address.rpartition(":")[2] for address in listening} == ports


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda w: w["kind"])
def test_a_container_may_do_what_it_needs_and_no_more(workload):
    """All capabilities are dropped, the root is read-only, memory is bounded; the users are the image's."""
    users = dict(re.findall(r"^FROM base AS lightfloor-(\w+)$(?:.|\n)*?^USER (\d+):", IMAGE, re.MULTILINE))
    for container in containers(workload):
        security = {**pod(workload)["securityContext"], **container["securityContext"]}
        assert security["capabilities"]["drop"] == ["ALL"]
        assert set(security["capabilities"].get("add", ())) <= {"NET_RAW", "CHOWN"}
        assert security["readOnlyRootFilesystem"] is True
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert "memory" in container["resources"]["limits"]
        if container["name"] in users:
            assert security["runAsNonRoot"] is True
            assert security["runAsUser"] == int(users[container["name"]])
    assert pod(workload)["automountServiceAccountToken"] is False
    assert {"agent", "collector"} == set(users)


IMAGE = (DEPLOY / "container/Containerfile").read_text()
