"""Grafana configuration: panels with existing metrics, known types, and no default password."""

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


def unknown_to_grafana(board):
    """Paths in a dashboard that are unknown to Grafana's generated types, or have another type there."""
    pytest.importorskip("grafana_foundation_sdk", reason="make setup installs grafana-foundation-sdk")
    from grafana_foundation_sdk.cog import encoder, plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    plugins.register_default_plugins()
    return _lost(board, json.loads(encoder.JSONEncoder().encode(Dashboard.from_json(board))), "")


def _lost(ours, theirs, path):
    if isinstance(ours, dict) and isinstance(theirs, dict):
        missing = [f"{path}.{key}" for key in ours if key not in theirs]
        return missing + [
            one for key in ours.keys() & theirs.keys() for one in _lost(ours[key], theirs[key], f"{path}.{key}")
        ]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [
            one for place, pair in enumerate(zip(ours, theirs, strict=True)) for one in _lost(*pair, f"{path}[{place}]")
        ]
    return [] if ours == theirs else [path]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboards_match_grafana_types(name):
    assert unknown_to_grafana(DASHBOARDS[name]) == []


def test_grafana_has_no_default_password_and_no_telemetry():
    environment = COMPOSE["grafana"]["environment"]
    assert environment["GF_SECURITY_ADMIN_PASSWORD"].startswith("${GRAFANA_PASSWORD:?")
    assert environment["GF_ANALYTICS_REPORTING_ENABLED"] == environment["GF_USERS_ALLOW_SIGN_UP"] == "false"
    assert not any("ANONYMOUS" in name for name in environment)
