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
from pathlib import Path

from config import settings
from storage import object_store
from training.engine.workspace import MissingInput, write_json
from training.experiments.arm_exposures import newest_exposure_at
from training.experiments.compare import NoExposures, compare, comparison_period
from training.experiments.exploration_slots import REWARDS, load_exploration_slots
from training.experiments.off_policy import EffectiveSampleTooSmall, estimate_off_policy
from training.experiments.plan import load_latest_plan
from training.experiments.report import render_page, report_lines
from training.release.traffic_split import TRAFFIC_SPLIT_FILE


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
    except (MissingInput, object_store.StorageError, LookupError, ValueError) as error:
        print(f"error: {error.args[0]}", file=sys.stderr)
        return 2


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


if __name__ == "__main__":
    sys.exit(main())
