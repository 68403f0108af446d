"""What was shown to whom, as figures.

    python -m training.experiments compare [--experiment NAME] [--scene S] [--baseline ARM]
    python -m training.experiments off_policy FILE [--reward R]

`compare` writes `reports/experiment.json` and `experiment.html`: the metrics of every arm of an experiment (without one, of
the releases of the last four weeks), their differences, and whether the arms got the users they were to get.
`off_policy` writes `reports/off_policy.json`: what a policy would have earned in the places that chance filled. FILE is
Parquet: `event_id` of each such exposure, and the `probability` with which the policy would have shown it there. As the logged
`propensity`, it has the chance in it that the place is left to chance at all.

Exit code 0: done, or nothing was shown yet. 1: the users are not divided as asked, or the exploration says too little of the
policy. 2: an earlier task has not run, or the call is wrong.
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
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.experiments",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True)
    comparing = actions.add_parser("compare", help="arms side by side")
    comparing.add_argument("--experiment", help="default: the newest; without any, releases one after the other")
    comparing.add_argument("--scene", help="default: all together")
    comparing.add_argument("--baseline", help="arm that the others are compared with; default: production")
    asking = actions.add_parser("off_policy", help="a policy that was not served")
    asking.add_argument("policy", type=Path, metavar="FILE", help="Parquet: event_id, probability")
    asking.add_argument("--reward", choices=REWARDS, default="is_full_play", help="what a place is to earn")
    options = parser.parse_args(arguments)
    try:
        return _compare(options) if options.action == "compare" else _off_policy(options)
    except NoExposures as error:
        print(f"{error}: there is no report")
        return 0
    except EffectiveSampleTooSmall as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    except (MissingInput, object_store.StorageError, LookupError, ValueError) as error:
        print(f"error: {error.args[0]}", file=sys.stderr)
        return 2


def _compare(options: argparse.Namespace) -> int:
    here = settings.load_settings()
    asked = load_latest_plan(here.releases / TRAFFIC_SPLIT_FILE, options.experiment)
    marts = object_store.fetch_marts(here)
    latest = newest_exposure_at(marts)
    if latest is None:
        raise NoExposures("nothing was shown yet")
    content = compare(marts, comparison_period(asked, latest, options.scene), asked, options.baseline)
    write_json(here.reports / "experiment.json", content)
    (here.reports / "experiment.html").write_text(render_page(content))
    print(*report_lines(content), f"written to {here.reports / 'experiment.html'}", sep="\n")
    ratio = content["sample_ratio"]
    return 1 if ratio is not None and ratio["holds"] is False else 0


def _off_policy(options: argparse.Namespace) -> int:
    here = settings.load_settings()
    found = load_exploration_slots(object_store.fetch_marts(here), options.policy, options.reward)
    result = estimate_off_policy(found.user_N, found.reward_N, found.propensity_N, found.probability_N)
    content = {
        "policy": options.policy.name,
        "reward": options.reward,
        "places": result.slots,
        "users": result.users,
        "effective": result.effective_sample_size,
        "ips": result.ips.interval(),
        "snips": result.snips.interval(),
        "mean_weight": result.mean_weight.interval(),
        "as_shown": float(found.reward_N.mean()),
    }
    write_json(here.reports / "off_policy.json", content)
    for name, value in content.items():
        print(f"{name}: {value}")
    value, low, high = content["mean_weight"]
    if not low <= 1 <= high:
        print(f"the weights average {value:.3f} and not 1: the policy is not one of these places, trust SNIPS alone")
    return 0


if __name__ == "__main__":
    sys.exit(main())
