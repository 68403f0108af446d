"""Values for Airflow's Helm chart: settings of Airflow, valid Kubernetes objects, no secrets."""

from __future__ import annotations

import kubernetes_validate
import pytest
import yaml

from config import settings
from tests.contract.deploy.test_kubernetes import SECRET, containers

VALUES = yaml.safe_load((settings.ROOT / "deploy" / "airflow" / "values.yaml").read_text())


def test_every_setting_exists_in_airflow() -> None:
    from airflow.configuration import conf

    known = conf.configuration_description
    assert [
        (section, name)
        for section, names in VALUES["config"].items()
        for name in names
        if name not in known.get(section, {"options": {}})["options"]
    ] == []


@pytest.mark.parametrize("component", ["dagProcessor", "scheduler", "apiServer", "triggerer", "workers"])
def test_pods_with_the_values_are_valid(component: str) -> None:
    part = VALUES["workers"]["celery"] if component == "workers" else VALUES[component]
    secrets = [
        {
            "name": secret["envName"],
            "valueFrom": {"secretKeyRef": {"name": secret["secretName"], "key": secret["secretKey"]}},
        }
        for secret in VALUES["secret"]
    ]
    container = {
        "name": component.lower(),
        "image": f"{VALUES['images']['airflow']['repository']}:{VALUES['images']['airflow']['tag']}",
        "env": [*VALUES["env"], *secrets],
        "envFrom": yaml.safe_load(VALUES["extraEnvFrom"]),
        "resources": part["resources"],
        "volumeMounts": VALUES["volumeMounts"],
        "securityContext": VALUES["securityContexts"]["containers"],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": component.lower()},
        "spec": {
            "containers": [container],
            "volumes": VALUES["volumes"],
            "securityContext": {"runAsUser": VALUES["uid"], "fsGroup": VALUES["gid"]},
        },
    }
    assert kubernetes_validate.validate(pod, "1.30", strict=True) == "1.30"


def test_containers_are_restricted_like_those_of_the_manifests() -> None:
    assert all(container["securityContext"] == VALUES["securityContexts"]["containers"] for container in containers())
    assert {mount["mountPath"] for mount in VALUES["volumeMounts"]} == {"/var/segue", "/tmp"}


def test_no_secret_is_in_the_values() -> None:
    assert [variable["name"] for variable in VALUES["env"] if SECRET.search(variable["name"])] == []
    assert not VALUES["createUserJob"]["enabled"]
    assert all("connection" not in name.lower() for name in VALUES["data"])
