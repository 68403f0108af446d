"""The rules that Prometheus is given: whole, and about metrics and labels that the service has."""

import json
import re

import pytest
import yaml
from prometheus_client import CollectorRegistry

import settings
from serving.metrics import Metrics
from serving.watch import Watch
from tests.serving.small_release import ListChannel, release, tracks

RULES = [
    rule
    for group in yaml.safe_load((settings.ROOT / "serving" / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]
PROMETHEUS_OWN = {"up"}
LABELS_OF_PROMETHEUS = {"le", "job"}
WORDS = {"rate", "sum", "by", "histogram_quantile", "time", "on", "group_left", "and", "max", "min"}


@pytest.fixture(scope="module")
def metrics():
    """Sample name ▸ labels, of everything that the service may say."""
    found = {}
    for metric in vars(Metrics(CollectorRegistry())).values():
        family = next(iter(metric.describe()))
        ends = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}[family.type]
        found |= {family.name + end: set(metric._labelnames) for end in ends}
    return found


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_names_metrics_and_labels_that_there_are(rule, metrics):
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in ("page", "ticket") and set(rule["annotations"]) == {"summary", "description"}
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))
    bare = re.sub(r'"[^"]*"|\[[^\]]*\]', "", rule["expr"])
    assert bare.count("(") == bare.count(")") and bare.count("{") == bare.count("}")
    names = set(re.findall(r"[a-z_]+", bare)) - WORDS - PROMETHEUS_OWN - LABELS_OF_PROMETHEUS
    used = {name for name in names if name.startswith("segue_")}
    assert used <= set(metrics), used - set(metrics)
    allowed = set().union(*(metrics[name] for name in used)) if used else set()
    assert names - used <= allowed, names - used - allowed
    told = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    assert told <= set(re.findall(r"by \(([^)]*)\)", rule["expr"])[0].replace(" ", "").split(",")) if told else True


def test_what_was_asked_for_is_watched():
    text = " ".join(rule["expr"] for rule in RULES)
    for what in (
        "outcome!~",
        "segue_recommend_seconds_bucket",
        "segue_unpushed_reports",
        "segue_skew_ratio",
        "segue_release_as_of",
    ):
        assert what in text


def test_what_changes_without_a_request_is_measured(tmp_path):
    registry, waiting = CollectorRegistry(), [7]
    of = release(tracks(2), [ListChannel("popularity", [2])], as_of="2026-05-04")
    watch = Watch(Metrics(registry), tmp_path / "skew.json", lambda: waiting[0], lambda: of)
    watch.look()
    assert registry.get_sample_value("segue_unpushed_reports") == 7
    assert registry.get_sample_value("segue_release_as_of_seconds") == 1_777_852_800
    assert registry.get_sample_value("segue_skew_as_of_seconds") == 0
    (tmp_path / "skew.json").write_text(json.dumps({"as_of": "2026-05-05", "skew_rate": 0.25}))
    watch.look()
    assert registry.get_sample_value("segue_skew_ratio") == 0.25
    assert registry.get_sample_value("segue_skew_as_of_seconds") == 1_777_939_200
    (tmp_path / "skew.json").write_text("{")
    watch.look()
    assert registry.get_sample_value("segue_skew_ratio") == 0.25
