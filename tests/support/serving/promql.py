"""What Prometheus may be asked about the recommender: its metrics with their labels, and what an expression names beside them."""

from __future__ import annotations

import re
from typing import Any

from prometheus_client import CollectorRegistry

from sequences.streaming import metrics as broker
from serving.observability.metrics import Metrics

WORDS = {
    *("rate", "increase", "sum", "by", "histogram_quantile", "time", "on", "group_left", "and", "max", "min"),
    "label_values",
    "or",
    "vector",
}
PROMETHEUS_OWN = {"up": {"job"}}
ENDS = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}
SELECTOR = re.compile(r"([a-z_]+)\{([^}]*)\}")


def registered() -> dict[str, set[str]]:
    """Sample name ▸ labels, of everything that the service and the broker's consumers may say."""
    return _samples(vars(Metrics(CollectorRegistry()))) | _samples(vars(broker.ConsumerMetrics(CollectorRegistry())))


def _samples(metrics: dict[str, Any]) -> dict[str, set[str]]:
    found = {}
    for metric in metrics.values():
        family, labels = next(iter(metric.describe())), set(metric._labelnames)
        for end in ENDS[family.type]:
            found[family.name + end] = labels | ({"le"} if end == "_bucket" else set())
    return found


def grouped(expression: str) -> set[str]:
    """The labels that the whole expression's answers have, by its first `by`."""
    found = re.search(r"\bby \(([^)]*)\)", expression)
    return set(found[1].replace(" ", "").split(",")) if found else set()


def unknown(expression: str, metrics: dict[str, set[str]]) -> list[str]:
    """Metrics and labels that an expression names and the service does not have; unbalanced brackets, too."""
    known = metrics | PROMETHEUS_OWN
    wrong = [
        f"{name}{{{label}}}"
        for name, inside in SELECTOR.findall(expression)
        for label in re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)", re.sub(r'"[^"]*"', "", inside))
        if label not in known.get(name, set())
    ]
    bare = re.sub(r'"[^"]*"|\[[^\]]*\]', "", expression)
    wrong += [pair for pair in ("()", "{}") if bare.count(pair[0]) != bare.count(pair[1])]
    names = set(re.findall(r"[a-z_]+", bare)) - WORDS
    used = names & set(known)
    labels = set().union(*(known[name] for name in used))
    return wrong + sorted(names - used - labels)
