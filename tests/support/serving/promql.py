"""PromQL checks: the registered metrics with their labels, and unknown names in expressions."""

from __future__ import annotations

import re

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from serving.observability.metrics import Metrics

WORDS = {
    *("rate", "increase", "sum", "by", "histogram_quantile", "time", "on", "group_left", "and", "max", "min"),
    "label_values",
    "or",
    "vector",
}
ENDS = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}


def registered() -> dict[str, set[str]]:
    """Sample name → labels, for all metrics of the service."""
    found = {}
    metrics = (value for value in vars(Metrics(CollectorRegistry())).values() if isinstance(value, MetricWrapperBase))
    for metric in metrics:
        family, labels = next(iter(metric.describe())), set(metric._labelnames)
        for end in ENDS[family.type]:
            found[family.name + end] = labels | ({"le"} if end == "_bucket" else set())
    return found


def grouped(expression: str) -> set[str]:
    """Labels of the result of an expression, from its first `by`."""
    found = re.search(r"\bby \(([^)]*)\)", expression)
    return set(found[1].replace(" ", "").split(",")) if found else set()


def unknown(expression: str, metrics: dict[str, set[str]]) -> list[str]:
    """Unknown metrics and labels in an expression."""
    known = metrics | {"up": {"job"}}
    wrong = [
        f"{name}{{{label}}}"
        for name, inside in re.findall(r"([a-z_]+)\{([^}]*)\}", expression)
        for label in re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)", re.sub(r'"[^"]*"', "", inside))
        if label not in known.get(name, set())
    ]
    bare = re.sub(r'"[^"]*"|\[[^\]]*\]', "", expression)
    names = set(re.findall(r"[a-z_]+", bare)) - WORDS
    used = names & set(known)
    labels = set().union(*(known[name] for name in used))
    return wrong + sorted(names - used - labels)
