"""Alert rules: complete, with existing metrics and labels."""

import json
import re

import pytest
import yaml
from prometheus_client import CollectorRegistry

from config import settings
from serving.observability.degraded_parts import Degradation
from serving.observability.metrics import Metrics
from serving.observability.monitors import ServiceMonitor
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
    assert rule["labels"]["severity"] in ("page", "ticket") and set(rule["annotations"]) == {"summary", "description"}
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))
    assert promql.unknown(rule["expr"], promql.registered()) == []
    assert set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))) <= promql.grouped(rule["expr"])


def test_required_alerts_exist():
    text = " ".join(rule["expr"] for rule in RULES)
    for what in (
        "outcome!~",
        "segue_recommend_seconds_bucket",
        "segue_unpushed_reports",
        "segue_skew_ratio",
        "segue_release_as_of",
    ):
        assert what in text


def test_monitor_updates_metrics_without_requests(tmp_path):
    registry, waiting = CollectorRegistry(), [7]
    of = release(tracks(2), [ListChannel("popularity", [2])], as_of="2026-05-04")
    metrics = Metrics(registry)
    watch = ServiceMonitor(metrics, tmp_path / "skew.json", lambda: waiting[0], lambda: of, Degradation(metrics))
    watch.update_metrics()
    assert registry.get_sample_value("segue_unpushed_reports") == 7
    assert registry.get_sample_value("segue_release_as_of_seconds") == 1_777_852_800
    assert registry.get_sample_value("segue_skew_as_of_seconds") == 0
    (tmp_path / "skew.json").write_text(json.dumps({"as_of": "2026-05-05", "skew_rate": 0.25}))
    watch.update_metrics()
    assert registry.get_sample_value("segue_skew_ratio") == 0.25
    assert registry.get_sample_value("segue_skew_as_of_seconds") == 1_777_939_200
    (tmp_path / "skew.json").write_text("{")
    watch.update_metrics()
    assert registry.get_sample_value("segue_skew_ratio") == 0.25
