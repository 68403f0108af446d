"""Compare the arms of an experiment: `python -m experiments compare [--experiment NAME]`.

Writes `reports/experiment.json` and `experiment.html`: the metrics of every arm of an experiment (without an
experiment: of the releases of the last four weeks), their differences, and the check for a sample-ratio mismatch.

Exit code 0: done, or there are no exposures yet. 1: sample-ratio mismatch. 2: an earlier task has not
run, or invalid arguments.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from config import settings
from config.command_line import report_errors
from experiments.arm_exposures import load_latest_plan, newest_exposure_at
from experiments.compare import METRICS, compare
from releases.format import MissingInput
from releases.traffic_split import TRAFFIC_SPLIT_FILE
from storage import object_store
from storage.errors import StorageError
from storage.files import write_json
from training.evaluation.report import charts
from training.evaluation.report.charts import Bar, format_interval
from training.evaluation.report.verdicts import difference_class
from web import create_environment

TEMPLATES = Path(__file__).parent / "templates"

Content = dict[str, Any]


@report_errors(MissingInput, StorageError, LookupError, ValueError)
def main(arguments: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True)
    comparison = actions.add_parser("compare", help="compare the arms of an experiment")
    comparison.add_argument("--experiment", help="default: the newest; if there is none, compare releases")
    options = parser.parse_args(arguments)
    here = settings.load_settings()
    plan = load_latest_plan(here.releases / TRAFFIC_SPLIT_FILE, options.experiment)
    marts = object_store.fetch_marts(here)
    latest = newest_exposure_at(marts)
    content = compare(marts, latest, plan) if latest else None
    if content is None:
        print(f"there are no exposures{f' of experiment {plan.experiment}' if plan else ''}; no report was written")
        return 0
    write_json(here.reports / "experiment.json", content)
    (here.reports / "experiment.html").write_text(render_page(content))
    print(_heading(content), *_warnings(content), f"written to {here.reports / 'experiment.html'}", sep="\n")
    ratio = content["sample_ratio"]
    return 1 if ratio is not None and ratio["holds"] is False else 0


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


def _heading(content: Content) -> str:
    title = f"Experiment {content['experiment']}" if content["experiment"] else "Releases one after the other"
    return f"{title}, {content['since']} to {content['until']} UTC"


def _warnings(content: Content) -> list[str]:
    """The outcome of the sample-ratio check, then everything that limits the comparison."""
    unplanned = "no experiment: users were not assigned at random, and every difference includes effects of time"
    warnings = [content["sample_ratio"]["says"] if content["sample_ratio"] else unplanned]
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
