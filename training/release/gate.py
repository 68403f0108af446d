"""Release gate: non-inferiority of the slate to heuristic baselines and to production, on held-out requests.

Two rules on `recall_at_30` of all targets, averaged over the requests of a user and then over users:

1. **No worse than the best heuristic baseline**: the metric of the slate is at least as high as the best baseline's on the
   same requests with lists of the same length, slots and spacing, minus 1 % of it. Skips and dislikes of the user, which
   baselines do not read, have no say in this comparison. The point estimate decides, not the lower bound,
   because this rule also applies to the first release, which may have few users: a lower bound would refuse a release
   for the size of its data. The best of several baselines is selected on the test requests, which already favors the
   baselines.
2. **Not inferior to production**: the lower bound of the paired difference from the active release is above -1 % of its
   metric.

Production is compared on the requests that both releases were held out from. Its models were trained on everything up
to its `as_of`, which overlaps the new test part, so running them again would be biased in their favor. Instead each
release contains its held-out slate by request, and the two are paired by user, time and targets. Requests are sampled
by a hash of user and time, so most requests of a moving window stay common from day to day. Without a common request
(other logs, another split), or if lists are selected by other rules than production's (such as another cap per artist),
no valid comparison exists, and only rule 1 decides, which the manifest states.

Fewer than MIN_USERS users (for example one person with a personal export) do not allow conclusions about
other users: requests are resampled instead, and both rules also hold if the paired difference is not significant.

Behavior is measured on the served path (`served_behavior`), after the final fits, and is the section `behavior` of an
evaluation. A release is rejected if a test is beyond its floor *and* beyond the value of the active release; a first release
never is. Tests with too few cases are reported only.
Legend: U users.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from releases.format import MissingInput
from storage.files import atomic_write, write_json
from training.data.recall_cases import MIN_USERS
from training.evaluate import HTML_FILE, JSON_FILE, publish_reports
from training.evaluation.metrics import bootstrap
from training.evaluation.metrics.bootstrap import Estimate
from training.evaluation.report.page import render_page
from training.workspace import Workspace

METRIC = "recall_at_30"
NON_INFERIORITY_MARGIN = 0.01  # relative
REQUEST_KEY = ("user_id", "request_at", "targets")

MIN_BEHAVIOR_USERS, MIN_ARTISTS, MIN_CASES = 50, 20, 30
SECTION = "behavior"


@dataclass(frozen=True)
class Verdict:
    """Outcome of the gate."""

    is_passed: bool
    reasons: tuple[str, ...]  # one per rule
    figures: dict[str, list[float]]  # name → [value, low, high]


def judge(
    slate: pl.DataFrame,
    baselines: dict[str, pl.DataFrame],
    production: pl.DataFrame | None,
    without_reactions: pl.DataFrame | None = None,
) -> Verdict:
    """Apply both rules to held-out slates with one row per request: `user_id`, `request_at`, `targets` (a hash),
    METRIC.

    Args:
        slate: Slate of the release.
        baselines: Slate of each heuristic baseline, by name.
        production: Slate of the active release; None if there is none.
        without_reactions: Slate of the release without the user's reactions, which baselines do not read, for rule 1; None:
            `slate`.

    Raises:
        MissingInput: The slate has no request, or there is no baseline.
    """
    if slate.is_empty() or not baselines:
        raise MissingInput(
            "the gate needs a held-out slate and a heuristic baseline, and the evaluation has none: without a listen in a "
            "session of the test part there is nothing to measure; land more plays and run the pipeline again"
        )
    order = slate if without_reactions is None else without_reactions
    rules = [_compare_with_heuristics(order, baselines), _compare_with_production(slate, production)]
    figures = {name: interval for rule in rules for name, interval in rule.figures.items()}
    return Verdict(
        all(rule.is_passed for rule in rules), tuple(reason for rule in rules for reason in rule.reasons), figures
    )


def _compare_with_heuristics(slate: pl.DataFrame, baselines: dict[str, pl.DataFrame]) -> Verdict:
    metric = _estimate(slate)
    others = {name: _estimate(rows) for name, rows in baselines.items()}
    best = max(others, key=lambda name: others[name].value)
    minimum = others[best].value * (1 - NON_INFERIORITY_MARGIN)
    difference = _paired(slate, baselines[best]).interval()
    is_passed = metric.value >= minimum or _is_insignificant_with_few_users(slate, difference)
    comparison = (
        f"slate {METRIC} {metric.value:.4f}, best heuristic baseline {best} {others[best].value:.4f}, "
        f"difference {_format_interval(difference)}"
    )
    return Verdict(
        is_passed,
        (
            f"{'passes' if is_passed else 'FAILS'}: {comparison}; at least {minimum:.4f} is required"
            + (", or no significant difference because there are few users" if _has_few_users(slate) else ""),
        ),
        {f"slate - {best}": difference, "slate": metric.interval(), best: others[best].interval()},
    )


def _compare_with_production(slate: pl.DataFrame, production: pl.DataFrame | None) -> Verdict:
    if production is None:
        return Verdict(True, ("passes: there is no active release to compare with",), {})
    if slate["rules"].head(1).to_list() != production["rules"].head(1).to_list():
        return Verdict(
            True,
            ("passes: the lists of production were selected by other rules; only the baseline decides",),
            {},
        )
    common = slate.join(production, on=REQUEST_KEY, suffix="_other")
    if common.is_empty():
        return Verdict(
            True,
            ("passes: production and this release have no common held-out request; only the baseline decides",),
            {},
        )
    production_metric = _estimate(common.select("user_id", pl.col(f"{METRIC}_other").alias(METRIC)))
    difference = _paired(slate, production).interval()
    allowed = -NON_INFERIORITY_MARGIN * production_metric.value
    # Equal slates are not inferior, even if the metric, and therefore the margin, is zero.
    is_passed = difference[1] > allowed or difference[1] == 0 or _is_insignificant_with_few_users(common, difference)
    comparison = f"slate minus production {METRIC} {_format_interval(difference)} on {common.height} common requests"
    return Verdict(
        is_passed,
        (f"{'passes' if is_passed else 'FAILS'}: {comparison}; a lower bound above {allowed:.4f} is required",),
        {"slate - production": difference, "production": production_metric.interval()},
    )


def _has_few_users(rows: pl.DataFrame) -> bool:
    return rows["user_id"].n_unique() < MIN_USERS


def _is_insignificant_with_few_users(rows: pl.DataFrame, difference: list[float]) -> bool:
    """Whether there are few users and the paired difference is not significantly negative."""
    return _has_few_users(rows) and difference[2] >= 0


def _estimate(rows: pl.DataFrame) -> Estimate:
    """Mean over users of their means, bootstrapped over users; with few users, mean over requests, bootstrapped over
    requests.
    """
    if _has_few_users(rows):
        return bootstrap.mean(rows[METRIC].sort().to_numpy())
    by_user = rows.group_by("user_id").agg(pl.col(METRIC).mean()).sort("user_id")
    return bootstrap.mean(by_user[METRIC].to_numpy())


def _paired(slate: pl.DataFrame, other: pl.DataFrame) -> Estimate:
    pairs = slate.join(other, on=REQUEST_KEY, suffix="_other").with_columns(pl.col(METRIC) - pl.col(f"{METRIC}_other"))
    return _estimate(pairs) if not pairs.is_empty() else bootstrap.mean(np.zeros(0))


def _format_interval(interval: list[float]) -> str:
    return f"{interval[0]:+.4f} [{interval[1]:+.4f}, {interval[2]:+.4f}]"


FLOORS: Mapping[str, tuple[float, bool]] = {
    "style_after_3_skips": (0.6, True),
    "style_after_3_dislikes": (0.4, True),
    "new_style_after_5_likes": (0.15, False),
    "new_style_after_5_likes_of_yesterday": (0.1, False),
    "next_by_skipped_artist": (0.02, True),
    "artist_after_block": (0.0, True),
    "daily_neighbors_by_one_artist": (0.0, True),
    "private_fm_neighbors_by_one_artist": (0.0, True),
    "daily_head_within_2_per_artist": (1.0, False),
    "daily_skipped_and_never_heard": (0.01, True),
    "private_fm_skipped_and_never_heard": (0.01, True),
    "daily_new_artists": (0.15, False),
    "false_reasons": (0.0, True),
    "same_request_same_list": (1.0, False),
}
"""Test → what it has to reach, and whether that is a maximum. Other tests are reported only."""


def is_missed(test: str, value: float, limit: float | None = None) -> bool:
    """Whether a value is beyond the floor of the test, or worse than another value."""
    floor, is_maximum = FLOORS[test]
    limit = floor if limit is None else limit
    return value > limit if is_maximum else value < limit


def read_behavior(workspace: Workspace, identity: str) -> Mapping[str, Any] | None:
    """The section of these models; None if their behavior was not measured."""
    content = json.loads((workspace.folder / "evaluation" / JSON_FILE).read_text()).get(SECTION)
    return content if content and content["release"] == identity else None


def write_behavior(workspace: Workspace, content: Mapping[str, Any]) -> None:
    """Add the section, with the floors, to the evaluation, and render the report again."""
    tests = dict(content["tests"])
    for name in tests.keys() & FLOORS.keys():
        floor, is_maximum = FLOORS[name]
        missed = is_missed(name, tests[name]["value"])
        tests[name] = tests[name] | {"floor": floor, "is_maximum": is_maximum, "is_missed": missed}
    folder = workspace.folder / "evaluation"
    evaluation = json.loads((folder / JSON_FILE).read_text()) | {SECTION: {**content, "tests": tests}}
    write_json(folder / JSON_FILE, evaluation)
    atomic_write(folder / HTML_FILE, render_page(evaluation))
    if workspace.seed is None:
        publish_reports(folder)


def judge_behavior(
    behavior: Mapping[str, Any] | None, production: Mapping[str, Any] | None
) -> tuple[bool, tuple[str, ...]]:
    """Whether the gate lets a release pass, and one reason per missed floor.

    Args:
        behavior: Section of the release; None if it was not measured.
        production: Section of the active release; None if there is none, or it was not measured.
    """
    if behavior is None:
        return True, ("passes: behavior was not measured; run `python -m served_behavior` before the release",)
    is_large = behavior["users_of_log"] >= MIN_BEHAVIOR_USERS and behavior["artists"] >= MIN_ARTISTS
    reasons, is_passed = [], True
    for name, (floor, _) in FLOORS.items():
        test = behavior["tests"].get(name)
        if test is None or not is_missed(name, test["value"]):
            continue
        before = (production or {}).get("tests", {}).get(name)
        is_judged = is_large and test["cases"] >= MIN_CASES and before is not None
        is_rejected = is_judged and is_missed(name, test["value"], before["value"])
        is_passed = is_passed and not is_rejected
        active = f", active release {before['value']:.4f}" if before is not None else ", no active release"
        reasons.append(
            f"{'FAILS' if is_rejected else 'passes'}: behavior {name} {test['value']:.4f} misses {floor:g}{active}"
        )
    return is_passed, tuple(reasons) or ("passes: behavior reaches every floor",)
