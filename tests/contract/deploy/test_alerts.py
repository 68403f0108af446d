"""Alert rules: complete, with existing metrics and labels."""

import re
from unittest import mock

import pytest
import yaml
from prometheus_client import CollectorRegistry

from config import settings
from console import live_metrics
from serving import errors, service
from serving.observability.metrics import Metrics, update_metrics
from tests.support.serving import promql
from tests.support.serving.small_release import ListChannel, release, tracks

RULES = [
    rule
    for group in yaml.safe_load((settings.ROOT / "serving" / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_rules_use_existing_metrics_and_labels(rule):
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in ("page", "ticket") and rule["annotations"].keys() == {
        "summary",
        "description",
        "runbook_url",
    }
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert f'<a id="{anchor}"></a>`{rule["alert"]}`' in (settings.ROOT / page).read_text()
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))
    assert promql.unknown(rule["expr"], promql.registered()) == []
    assert set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))) <= promql.grouped(rule["expr"])


def test_client_errors_are_the_same_in_the_alert_the_dashboard_the_console_and_the_service():
    kinds = errors.RequestError.__subclasses__()
    statuses = {kind.__name__: service._answer(None, mock.Mock(side_effect=kind(""))).status_code for kind in kinds}
    assert {name for name, status in statuses.items() if status < 500} == live_metrics.CLIENT_ERRORS
    dashboard = settings.ROOT / "serving" / "monitoring" / "grafana" / "dashboards" / "recommender.json"
    texts = [dashboard.read_text().replace('\\"', '"'), *(rule["expr"] for rule in RULES)]
    left_out = [outcomes.split("|") for text in texts for outcomes in re.findall(r'outcome!~"([^"]*)"', text)]
    assert len(left_out) >= 2
    for outcomes in left_out:
        assert sorted(outcomes) == sorted({live_metrics.ANSWERED, *live_metrics.CLIENT_ERRORS})


GOOD = '{"as_of": "2026-05-05", "skew_rate": 0.25}'


@pytest.mark.parametrize(
    ("reports", "ratio", "as_of_s"),
    [((), 0, 0), ((GOOD,), 0.25, 1_777_939_200), ((GOOD, "{"), 0.25, 1_777_939_200)],
    ids=["no report", "report", "damaged later"],
)
def test_monitor_updates_metrics_without_requests(tmp_path, reports, ratio, as_of_s):
    registry, file = CollectorRegistry(), tmp_path / "skew.json"
    watched = Metrics(registry), file, release(tracks(2), [ListChannel("popularity", [2])], as_of="2026-05-04")
    update_metrics(*watched)
    for report in reports:
        file.write_text(report)
        update_metrics(*watched)
    assert {name: registry.get_sample_value(f"segue_{name}") for name in ("skew_ratio", "skew_as_of_seconds")} == {
        "skew_ratio": ratio,
        "skew_as_of_seconds": as_of_s,
    }
    assert registry.get_sample_value("segue_release_as_of_seconds") == 1_777_852_800
