"""Prometheus and Grafana configuration: file locations, and panels with existing metrics."""

import json
import re

import pytest
import yaml

from config import settings
from tests.support.serving import promql

FOLDER = settings.ROOT / "serving" / "monitoring"
GRAFANA = FOLDER / "grafana"
DASHBOARDS = {file.stem: json.loads(file.read_text()) for file in sorted((GRAFANA / "dashboards").glob("*.json"))}
COMPOSE = yaml.safe_load((settings.ROOT / "docker-compose.yml").read_text())["services"]
(SOURCE,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yaml").read_text())["datasources"]
(PROVIDER,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/segue.yaml").read_text())["providers"]
SCRAPED = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
PANELS = [
    pytest.param(board, panel, id=f"{name}: {panel['title']}")
    for name, board in DASHBOARDS.items()
    for panel in board["panels"]
    if panel["type"] != "row"
]
BY_GRAFANA = {"$__rate_interval": "5m", "$__range": "6h"}


@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_panels_use_existing_metrics_and_labels(board, panel):
    assert panel["datasource"] == {"type": SOURCE["type"], "uid": SOURCE["uid"]}
    variables = {variable["name"] for variable in board["templating"]["list"]}
    for target in panel["targets"]:
        expression = target["expr"]
        for name, value in BY_GRAFANA.items():
            expression = expression.replace(name, value)
        assert set(re.findall(r"\$(\w+)", expression)) <= variables
        assert promql.unknown(expression, promql.registered()) == []
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= promql.grouped(expression)


def test_grafana_has_no_default_password_and_no_telemetry():
    environment = COMPOSE["grafana"]["environment"]
    assert environment["GF_SECURITY_ADMIN_PASSWORD"].startswith("${GRAFANA_PASSWORD:?")
    assert environment["GF_ANALYTICS_REPORTING_ENABLED"] == environment["GF_USERS_ALLOW_SIGN_UP"] == "false"
    assert not any("ANONYMOUS" in name for name in environment)
