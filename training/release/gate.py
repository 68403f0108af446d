"""May a release go into service? Decided on the slate, the whole request path on held-out requests.

Two rules, on `recall_at_30` of all targets, averaged over a user's requests, then over users:

1. **No worse than the best memory**: the slate's figure is at least that of the best memory (of the same requests,
same length), less
   1 % of it. The point estimate decides, not the lower bound: this rule also stands over the very first release, when
   there may be few users, and there a lower bound would refuse a release for the size of its data, not for its
   quality. The best of several memories is taken on the very requests that judge, which already favours the memories.
2. **Not inferior to production**: the lower bound of the paired difference to the release in service stays above −1 %
of its figure.

Production is compared on the requests that both releases were held out from. Its own models have seen everything up to
its `as_of`, which overlaps the new test part, so to run them again would flatter them; instead each release carries
its held-out slate, request by request, and the two are paired where user, time and targets are the same. The sample of
requests is drawn by a hash of user and time, so most requests of a moving window stay common from day to day. Without
a common request (other logs, another clock) there is nothing honest to compare, and rule 1 alone decides, which the
manifest says.

Fewer than FEW_USERS users, one person with an export of their own among them, say nothing about other users: there
requests are drawn, and both rules also hold while the paired difference may be chance. Legend: U users. Knows nothing
about models or files.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from training.evaluation.metrics import bootstrap
from training.evaluation.metrics.bootstrap import MIN_BOOTSTRAP_USERS, Estimate

METRIC = "recall_at_30"
NON_INFERIORITY_MARGIN = 0.01
REQUEST_KEY = ("user_id", "request_at", "targets")


@dataclass(frozen=True)
class Verdict:
    """Whether a release passes and, rule by rule, why."""

    is_passed: bool
    reasons: tuple[str, ...]
    figures: dict[str, list[float]]


def judge(slate: pl.DataFrame, memories: dict[str, pl.DataFrame], production: pl.DataFrame | None) -> Verdict:
    """The verdict on a release from held-out slates request by request: `user_id`, `request_at`, `targets` (a hash),
    METRIC.

    `production` is the slate of the release in service, None when there is none.

    Raises:
        ValueError: the slate has no request, or there is no memory to hold it against.
    """
    if slate.is_empty() or not memories:
        raise ValueError(
            "the gate needs a held-out slate and at least one memory; run `python -m training.evaluate` first"
        )
    rules = [_compare_with_heuristics(slate, memories), _compare_with_production(slate, production)]
    figures = {name: figure for rule in rules for name, figure in rule.figures.items()}
    return Verdict(all(rule.is_passed for rule in rules), tuple(r for rule in rules for r in rule.reasons), figures)


def _compare_with_heuristics(slate: pl.DataFrame, memories: dict[str, pl.DataFrame]) -> Verdict:
    mine = _estimate(slate)
    others = {name: _estimate(rows) for name, rows in memories.items()}
    best = max(others, key=lambda name: others[name].value)
    floor = others[best].value * (1 - NON_INFERIORITY_MARGIN)
    difference = _paired(slate, memories[best]).interval()
    is_passed = mine.value >= floor or _may_be_chance(slate, difference)
    says = f"slate {METRIC} {mine.value:.4f}, best memory {best} {others[best].value:.4f}, difference {_format_interval(difference)}"
    return Verdict(
        is_passed,
        (
            f"{'passes' if is_passed else 'FAILS'}: {says}; at least {floor:.4f} is needed"
            + (", or a difference that may be chance, of so few users" if _has_few_users(slate) else ""),
        ),
        {f"slate - {best}": difference, "slate": mine.interval(), best: others[best].interval()},
    )


def _compare_with_production(slate: pl.DataFrame, production: pl.DataFrame | None) -> Verdict:
    if production is None:
        return Verdict(True, ("passes: no release is in service to compare with",), {})
    common = slate.join(production, on=REQUEST_KEY, suffix="_other")
    if common.is_empty():
        return Verdict(
            True, ("passes: production and this release share no held-out request, so only the memory decides",), {}
        )
    theirs = _estimate(common.select("user_id", pl.col(f"{METRIC}_other").alias(METRIC)))
    difference = _paired(slate, production).interval()
    allowed = -NON_INFERIORITY_MARGIN * theirs.value
    # Exactly equal slates are not inferior, even where the figure, and with it the margin, is zero.
    is_passed = difference[1] > allowed or difference[1] == 0 or _may_be_chance(common, difference)
    says = f"slate minus production {METRIC} {_format_interval(difference)} on {common.height} common requests"
    return Verdict(
        is_passed,
        (f"{'passes' if is_passed else 'FAILS'}: {says}; a lower bound above {allowed:.4f} is needed",),
        {"slate - production": difference, "production": theirs.interval()},
    )


def _has_few_users(rows: pl.DataFrame) -> bool:
    return rows["user_id"].n_unique() < MIN_BOOTSTRAP_USERS


def _may_be_chance(rows: pl.DataFrame, difference: list[float]) -> bool:
    """Whether so few users cannot say that something is worse."""
    return _has_few_users(rows) and difference[2] >= 0


def _estimate(rows: pl.DataFrame) -> Estimate:
    """The mean over users of their means, and over draws of users; where these are few, over requests and draws of these."""
    if _has_few_users(rows):
        return bootstrap.mean(rows[METRIC].sort().to_numpy())
    by_user = rows.group_by("user_id").agg(pl.col(METRIC).mean()).sort("user_id")
    return bootstrap.mean(by_user[METRIC].to_numpy())


def _paired(mine: pl.DataFrame, other: pl.DataFrame) -> Estimate:
    pairs = mine.join(other, on=REQUEST_KEY, suffix="_other").with_columns(pl.col(METRIC) - pl.col(f"{METRIC}_other"))
    return _estimate(pairs) if not pairs.is_empty() else bootstrap.mean(np.zeros(0))


def _format_interval(interval: list[float]) -> str:
    return f"{interval[0]:+.4f} [{interval[1]:+.4f}, {interval[2]:+.4f}]"
