"""The one name of each metric on pages: `recall_at_200/reachable` becomes `recall@200, reachable discoveries`."""

from __future__ import annotations

import re

NAMES = {
    "all": "",
    "auc": "AUC",
    "discovery": "discoveries",
    "ece": "ECE",
    "full_play": "full play",
    "gauc": "GAUC",
    "logloss": "log loss",
    "not_skipped": "not skipped",
    "reachable": "reachable discoveries",
    "reachable_recall_at_30": "recall@30, reachable discoveries",
    "repeat": "repeats",
    "with_heard": "with played tracks",
}
LOWER_IS_BETTER = frozenset({"ece", "logloss", "skip_rate"})
CUTOFF = re.compile(r"_at_(?=\d)")


def format_metric_name(name: str) -> str:
    """A metric key as pages show it; parts that are separated by `/` are separated by commas, and all targets go without saying."""
    words = [
        NAMES.get(part, CUTOFF.sub("@", part).replace("_", " ").replace("ndcg", "NDCG")) for part in name.split("/")
    ]
    return ", ".join(word for word in words if word)


def is_lower_better(name: str) -> bool:
    """Whether smaller values of the metric are better."""
    return name.rpartition("/")[2] in LOWER_IS_BETTER
