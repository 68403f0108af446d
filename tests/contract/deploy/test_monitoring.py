"""Grafana configuration: panels with existing metrics, known types, and no default password."""

import json
import re

import pytest
import yaml

from config import settings
from tests.contract.deploy.test_compose import SERVICES
from tests.support.serving import promql

GRAFANA = settings.ROOT / "serving" / "monitoring" / "grafana"
DASHBOARDS = {file.stem: json.loads(file.read_text()) for file in sorted((GRAFANA / "dashboards").glob("*.json"))}
(SOURCE,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yaml").read_text())["datasources"]
PANELS = [
    pytest.param(board, panel, id=f"{name}: {panel['title']}")
    for name, board in DASHBOARDS.items()
    for panel in board["panels"]
    if panel["type"] != "row"
]


@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_panels_use_existing_metrics_and_labels(board, panel):
    assert panel["datasource"] == {"type": SOURCE["type"], "uid": SOURCE["uid"]}
    variables = {variable["name"] for variable in board["templating"]["list"]}
    for target in panel["targets"]:
        expression = target["expr"].replace("$__rate_interval", "5m").replace("$__range", "6h")
        assert set(re.findall(r"\$(\w+)", expression)) <= variables
        assert promql.unknown(expression, promql.registered()) == []
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= promql.grouped(expression)


def test_grafana_has_no_default_password_and_no_telemetry():
    environment = SERVICES["grafana"]["environment"]
    assert environment["GF_SECURITY_ADMIN_PASSWORD"].startswith("${GRAFANA_PASSWORD:?")
    assert environment["GF_ANALYTICS_REPORTING_ENABLED"] == environment["GF_USERS_ALLOW_SIGN_UP"] == "false"
    assert not any("ANONYMOUS" in name for name in environment)
