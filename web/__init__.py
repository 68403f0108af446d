"""Base template, style sheet and template environment shared by all HTML pages except the listener's page; the operator's
password, and rate limits.

Times are shown in UTC, to the minute. Each metric has one name on pages: `recall_at_200/reachable` becomes `recall@200,
reachable discoveries`.
"""

from __future__ import annotations

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

SHARED_TEMPLATES = Path(__file__).parent / "templates"


METRIC_NAMES = {
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
}
LOWER_IS_BETTER = frozenset({"ece", "logloss", "skip_rate"})
CUTOFF = re.compile(r"_at_(?=\d)")


def create_environment(*templates: Path) -> Environment:
    """Environment that finds templates in the folders `templates` first, in their order, and in the shared folder last.

    All values are escaped; an undefined variable is an error. A page starts with `{% extends "base.html" %}` and fills
    the blocks `title`, `style` (optional) and `main`. `macros.html` has the shared elements: tables, definition lists.

    Args:
        templates: Folders of the calling package, usually one: `Path(__file__).parent / "templates"`.
    """
    environment = Environment(
        loader=FileSystemLoader([*templates, SHARED_TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["utc_minute"] = format_utc_minute
    environment.filters["metric_name"] = format_metric_name
    return environment


def format_utc_minute(timestamp: str) -> str:
    """An ISO 8601 UTC timestamp to the minute, `2026-07-01 12:30 UTC`; any other text unchanged."""
    is_timestamp = len(timestamp) >= 16 and timestamp[10] == "T"
    return f"{timestamp[:10]} {timestamp[11:16]} UTC" if is_timestamp else timestamp


def format_metric_name(name: str) -> str:
    """A metric key as pages show it; parts that are separated by `/` are separated by commas, and all targets go without saying."""
    words = [
        METRIC_NAMES.get(part, CUTOFF.sub("@", part).replace("_", " ").replace("ndcg", "NDCG"))
        for part in name.split("/")
    ]
    return ", ".join(word for word in words if word)


def is_lower_better(name: str) -> bool:
    """Whether smaller values of the metric are better."""
    return name.rpartition("/")[2] in LOWER_IS_BETTER
