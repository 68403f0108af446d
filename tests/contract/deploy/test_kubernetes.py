"""Kubernetes manifests: schemas, commands, settings, probes, ports, security, and no secrets."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml

from config import settings
from event_store.redis_database import REQUIRED
from serving.http.access_policy import PUBLIC_PATHS

FOLDER = settings.ROOT / "deploy" / "kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
OBJECTS = [
    document
    for path in sorted(FOLDER.glob("*.yaml"))
    if path.name != "kustomization.yaml"
    for document in yaml.safe_load_all(path.read_text())
]
VERSIONS = ("1.30", "1.37")
"""The oldest version that Airflow's chart supports and the newest that the validator knows."""

PAGES = {"app.kubernetes.io/name": "pages"}

DEFAULTS = {"cluster-enabled": "no"}
"""Settings that Redis has without an option."""

SECRET = re.compile("PASSWORD|SECRET|KEY|REDIS|EVENT_STORE|TOKEN")


def document_name(document: dict[str, Any]) -> str:
    return f"{document['kind']} {document['metadata']['name']}"


def of_kind(*kinds: str) -> list[dict[str, Any]]:
    return [document for document in OBJECTS if document["kind"] in kinds]


WORKLOADS = of_kind("Deployment", "StatefulSet")
COMPOSE = yaml.safe_load((settings.ROOT / "docker-compose.yml").read_text())["services"]


def containers() -> Iterator[dict[str, Any]]:
    for workload in WORKLOADS:
        yield from workload["spec"]["template"]["spec"]["containers"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("document", OBJECTS, ids=document_name)
def test_objects_are_valid(document: dict[str, Any], version: str) -> None:
    assert kubernetes_validate.validate(document, version, strict=True) == version


def test_the_kustomization_lists_every_file_and_image() -> None:
    assert sorted(KUSTOMIZATION["resources"]) == sorted(
        path.name for path in FOLDER.glob("*.yaml") if path.name != "kustomization.yaml"
    )
    assert {container["image"] for container in containers()} == {image["name"] for image in KUSTOMIZATION["images"]}


def test_no_secret_is_in_the_manifests() -> None:
    assert of_kind("Secret") == []
    variables = [variable for container in containers() for variable in container.get("env", [])]
    secrets = [variable for variable in variables if SECRET.search(variable["name"])]
    assert {variable["name"] for variable in secrets} == {
        "SEGUE_REDIS",
        "SEGUE_EVENT_STORE",
        "REDISCLI_AUTH",
        "SEGUE_API_KEYS",
        "SEGUE_OPERATOR_PASSWORD",
    }
    assert all("secretKeyRef" in secret["valueFrom"] and "value" not in secret for secret in secrets)
    assert [name for document in of_kind("ConfigMap") for name in document["data"] if SECRET.search(name)] == []


def test_every_setting_exists() -> None:
    known = set(re.findall(r"^\| `(SEGUE_\w+)`", (settings.ROOT / "docs" / "settings.md").read_text(), re.MULTILINE))
    used = {variable["name"] for container in containers() for variable in container.get("env", [])}
    used |= {name for document in of_kind("ConfigMap") for name in document["data"]}
    assert {name for name in used if name.startswith("SEGUE_")} <= known
    assert "SEGUE_EVENT_STORE" in used


def test_every_command_of_the_image_exists() -> None:
    own = [container for container in containers() if container["image"] == "segue"]
    assert {tuple(container["args"][:2]) for container in own} == {("python", "-m")}
    missing = [container["args"] for container in own if importlib.util.find_spec(container["args"][2]) is None]
    assert missing == []
    assert len(own) == 2


def test_probes_use_public_paths() -> None:
    (recommender,) = (container for container in containers() if container["name"] == "recommender")
    probes = {
        kind: recommender[kind]["httpGet"]["path"] for kind in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert probes == {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    assert set(probes.values()) <= set(PUBLIC_PATHS)


def test_every_probe_and_service_uses_a_port_of_its_pods() -> None:
    for workload in WORKLOADS:
        for container in workload["spec"]["template"]["spec"]["containers"]:
            names = {port["name"] for port in container["ports"]}
            probes = [container[kind] for kind in container if kind.endswith("Probe")]
            probed = {(probe.get("httpGet") or probe["tcpSocket"])["port"] for probe in probes}
            assert probed and probed <= names, container["name"]
    by_name = {workload["metadata"]["name"]: workload for workload in WORKLOADS}
    for service in of_kind("Service"):
        pods = by_name[service["spec"]["selector"]["app.kubernetes.io/name"]]["spec"]["template"]["spec"]
        names = {port["name"] for container in pods["containers"] for port in container["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= names, document_name(service)


def test_every_workload_is_labeled_and_restricted() -> None:
    for workload in WORKLOADS:
        pods = workload["spec"]["template"]
        selector = workload["spec"]["selector"]["matchLabels"]
        assert selector.items() <= pods["metadata"]["labels"].items()
        assert pods["metadata"]["labels"]["app.kubernetes.io/part-of"] == "segue", (
            "the network policy selects by this label"
        )
        assert pods["spec"]["securityContext"]["runAsNonRoot"] is True
        assert pods["spec"]["automountServiceAccountToken"] is False
        for container in pods["spec"]["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]


def test_redis_of_events_has_the_settings_that_the_store_requires() -> None:
    (pod,) = (container for container in containers() if container["name"] == "events")
    for command in (pod["args"], COMPOSE["events"]["command"]):
        options = dict(zip(command[1::2], command[2::2], strict=True))
        for name, value in REQUIRED.items():
            assert options.get(f"--{name}", DEFAULTS.get(name)) == value
        assert options["--maxmemory"] and options["--requirepass"]
    assert "@events:" in COMPOSE["recommender"]["environment"]["SEGUE_EVENT_STORE"]
    assert COMPOSE["redis"]["volumes"] != COMPOSE["events"]["volumes"]


def test_the_console_reaches_every_service() -> None:
    """Hosts belong to Service objects, and policies allow egress and ingress. `test_airflow_values` has Airflow's side."""
    (console,) = (container for container in containers() if container["name"] == "pages")
    hosts = next(variable["value"] for variable in console["env"] if variable["name"] == "SEGUE_SERVICE_HOSTS")
    known = {service["metadata"]["name"] for service in of_kind("Service")} | {"airflow-api-server", "localhost"}
    assert {host.partition("=")[0] for host in hosts.split(",")} == set(settings.SERVICES)
    assert {host.partition("=")[2] for host in hosts.split(",")} <= known
    policies = {policy["metadata"]["name"]: policy["spec"] for policy in of_kind("NetworkPolicy")}
    assert policies["pages"]["podSelector"]["matchLabels"] == PAGES
    egress = {
        (tuple(rule["to"][0]["podSelector"]["matchLabels"].values()), rule["ports"][0]["port"])
        for rule in policies["pages"]["egress"]
    }
    assert egress == {(("recommender",), 3000), (("airflow", "api-server"), 8080)}
    (rule,) = policies["recommender"]["ingress"]
    assert {"podSelector": {"matchLabels": PAGES}} in rule["from"]
