"""Kubernetes manifests: schemas, settings, security, and no secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml

from config import settings
from event_store.redis_database import REQUIRED
from tests.contract.deploy.test_compose import SERVICES

OBJECTS = [
    document
    for path in sorted((settings.ROOT / "deploy" / "kubernetes").glob("*.yaml"))
    if path.name != "kustomization.yaml"
    for document in yaml.safe_load_all(path.read_text())
]

SECRET = re.compile("PASSWORD|SECRET|KEY|REDIS|EVENT_STORE|TOKEN")


def of_kind(*kinds: str) -> list[dict[str, Any]]:
    return [document for document in OBJECTS if document["kind"] in kinds]


WORKLOADS = of_kind("Deployment", "StatefulSet")


def containers() -> Iterator[dict[str, Any]]:
    for workload in WORKLOADS:
        yield from workload["spec"]["template"]["spec"]["containers"]


@pytest.mark.parametrize("version", ["1.30", "1.37"])
@pytest.mark.parametrize("document", OBJECTS, ids=lambda document: f"{document['kind']} {document['metadata']['name']}")
def test_objects_are_valid(document: dict[str, Any], version: str) -> None:
    """For the oldest version that Airflow's chart supports and the newest that the validator knows."""
    assert kubernetes_validate.validate(document, version, strict=True) == version


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


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload["metadata"]["name"])
def test_every_workload_is_labeled_and_restricted(workload: dict[str, Any]) -> None:
    pods = workload["spec"]["template"]
    assert workload["spec"]["selector"]["matchLabels"].items() <= pods["metadata"]["labels"].items()
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
    for command in (pod["args"], SERVICES["events"]["command"]):
        options = dict(zip(command[1::2], command[2::2], strict=True))
        for name, value in REQUIRED.items():
            assert options.get(f"--{name}", "no" if name == "cluster-enabled" else None) == value
        assert options["--maxmemory"] and options["--requirepass"]
    assert "@events:" in SERVICES["recommender"]["environment"]["SEGUE_EVENT_STORE"]
    assert SERVICES["redis"]["volumes"] != SERVICES["events"]["volumes"]
