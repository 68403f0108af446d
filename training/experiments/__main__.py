"""Analyze the mart `exposures`.

    python -m training.experiments compare [--experiment NAME] [--scene S] [--baseline ARM]
    python -m training.experiments off_policy FILE [--reward R]

`compare` writes `reports/experiment.json` and `experiment.html`: the metrics of every arm of an experiment (without an
experiment: of the releases of the last four weeks), their differences, and the check for a sample-ratio mismatch.
`off_policy` writes `reports/off_policy.json`: the estimated reward of a policy in the exploration slots. FILE is
Parquet with the `event_id` of each such exposure and the `probability` with which the policy would have shown that item
in that slot. Like the logged `propensity`, it includes the probability that the slot is used for exploration.

Exit code 0: done, or there are no exposures yet. 1: sample-ratio mismatch, or the effective sample size is too small
for the policy. 2: an earlier task has not run, or invalid arguments.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from config import settings
from storage import object_store
from storage.errors import StorageError
from training.engine.workspace import MissingInput, write_json
from training.evaluation.report import charts
from training.evaluation.report.charts import Bar, format_interval
from training.evaluation.report.verdicts import difference_class
from training.experiments.arm_exposures import newest_exposure_at
from training.experiments.compare import NoExposures, compare, comparison_period
from training.experiments.exploration_slots import REWARDS, load_exploration_slots
from training.experiments.metrics import METRICS
from training.experiments.off_policy import EffectiveSampleTooSmall, estimate_off_policy
from training.experiments.plan import load_latest_plan
from training.release.traffic_split import TRAFFIC_SPLIT_FILE
from web import create_environment

TEMPLATES = Path(__file__).parent / "templates"

Content = dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.experiments",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True)
    comparison = actions.add_parser("compare", help="compare the arms of an experiment")
    comparison.add_argument("--experiment", help="default: the newest; if there is none, compare releases")
    comparison.add_argument("--scene", help="default: all scenes")
    comparison.add_argument("--baseline", help="arm to compare the others with; default: production")
    off_policy = actions.add_parser("off_policy", help="estimate the reward of a policy that was not served")
    off_policy.add_argument("policy", type=Path, metavar="FILE", help="Parquet: event_id, probability")
    off_policy.add_argument("--reward", choices=REWARDS, default="is_full_play", help="reward of a slot")
    options = parser.parse_args(arguments)
    try:
        return _compare(options) if options.action == "compare" else _off_policy(options)
    except NoExposures as error:
        print(f"{error}; no report was written")
        return 0
    except EffectiveSampleTooSmall as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    except (MissingInput, StorageError, LookupError, ValueError) as error:
        print(f"error: {error.args[0]}", file=sys.stderr)
        return 2


def render_page(content: Content) -> str:
    """The report of an experiment as one HTML file without external resources.

    Args:
        content: `experiment.json` as a dictionary.
    """
    environment = create_environment(TEMPLATES, charts.TEMPLATES)
    environment.filters |= {
        "difference_class": difference_class,
        "signed_interval": lambda interval: format_interval(interval, signed=True),
        "verdict": _verdict,
    }
    return environment.get_template("experiment.html").render(
        content=content,
        heading=_heading(content),
        warnings=_warnings(content),
        has_failed=content["sample_ratio"] is not None and content["sample_ratio"]["holds"] is False,
        metrics=METRICS,
        interval_chart=charts.interval_chart,
        arm_bars={
            f"{name}: {metric.description}": [
                Bar(arm, row["metrics"][name], "baseline" if arm == content["baseline"] else "channel")
                for arm, row in content["arms"].items()
            ]
            for name, metric in METRICS.items()
        },
    )


def report_lines(content: Content) -> list[str]:
    """The report of an experiment as a few lines of text."""
    lines = [_heading(content), *_warnings(content)]
    for name, arm in content["arms"].items():
        lines.append(f"{name}: {arm['users']:,} users, {arm['exposures']:,} exposures")
        lines += [f"  {metric}: {format_interval(interval)}" for metric, interval in arm["metrics"].items()]
    for name, differences in content["differences"].items():
        lines.append(f"{name}:")
        lines += [
            f"  {metric}: {format_interval(difference, signed=True)}, {_verdict(difference)}"
            for metric, difference in differences.items()
        ]
    return lines


def _compare(options: argparse.Namespace) -> int:
    here = settings.load_settings()
    plan = load_latest_plan(here.releases / TRAFFIC_SPLIT_FILE, options.experiment)
    marts = object_store.fetch_marts(here)
    latest = newest_exposure_at(marts)
    if latest is None:
        raise NoExposures("there are no exposures yet")
    content = compare(marts, comparison_period(plan, latest, options.scene), plan, options.baseline)
    write_json(here.reports / "experiment.json", content)
    (here.reports / "experiment.html").write_text(render_page(content))
    print(*report_lines(content), f"written to {here.reports / 'experiment.html'}", sep="\n")
    ratio = content["sample_ratio"]
    return 1 if ratio is not None and ratio["holds"] is False else 0


def _off_policy(options: argparse.Namespace) -> int:
    here = settings.load_settings()
    slots = load_exploration_slots(object_store.fetch_marts(here), options.policy, options.reward)
    result = estimate_off_policy(slots.user_N, slots.reward_N, slots.propensity_N, slots.probability_N)
    content = {
        "policy": options.policy.name,
        "reward": options.reward,
        "places": result.slots,
        "users": result.users,
        "effective": result.effective_sample_size,
        "ips": result.ips.interval(),
        "snips": result.snips.interval(),
        "mean_weight": result.mean_weight.interval(),
        "as_shown": float(slots.reward_N.mean()),
    }
    write_json(here.reports / "off_policy.json", content)
    for name, value in content.items():
        print(f"{name}: {value}")
    value, low, high = content["mean_weight"]
    if not low <= 1 <= high:
        print(f"the mean weight is {value:.3f} instead of 1: the policy does not match these slots; use SNIPS only")
    return 0


def _heading(content: Content) -> str:
    name, scene = content["experiment"], content["scene"]
    title = f"Experiment {name}" if name else "Releases one after the other"
    return f"{title}, {content['since']} to {content['until']} UTC{f', scene {scene}' if scene else ''}"


def _warnings(content: Content) -> list[str]:
    """The outcome of the sample-ratio check, then everything that limits the comparison."""
    warnings = []
    if content["sample_ratio"]:
        warnings.append(content["sample_ratio"]["says"])
    else:
        warnings.append(
            "no experiment: users were not assigned at random, and every difference includes effects of time"
        )
    if content["experiment"] and content["shared_users"]:
        warnings.append(
            f"{content['shared_users']:,} users were exposed to more than one arm, which indicates an error"
        )
    pending, exposures = (sum(arm[name] for arm in content["arms"].values()) for name in ("unsettled", "exposures"))
    if pending:
        warnings.append(
            f"the outcome window of {pending:,} of {exposures:,} exposures is still open; metrics may change"
        )
    return warnings


def _verdict(difference: Sequence[float | None]) -> str:
    _, low, high = difference
    if low is None or high is None:
        return "too few users"
    return "more" if low > 0 else "less" if high < 0 else "not significant"


if __name__ == "__main__":
    sys.exit(main())
