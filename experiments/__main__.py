"""Compare the arms of the newest experiment: `python -m experiments`.

Writes `reports/experiment.json` and `experiment.html`: the metrics of every arm, their differences, and the check for a
sample-ratio mismatch.

Exit code 0: done, or there is no experiment or exposure yet. 1: sample-ratio mismatch. 2: an earlier task has not
run, or invalid arguments.
"""

from __future__ import annotations

import argparse
import sys
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


@report_errors(MissingInput, StorageError, ValueError)
def main(arguments: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args(arguments)
    here = settings.load_settings()
    plan = load_latest_plan(here.releases / TRAFFIC_SPLIT_FILE)
    marts = object_store.fetch_marts(here)
    latest = newest_exposure_at(marts)
    content = compare(marts, latest, plan) if latest and plan else None
    if content is None:
        print("there are no exposures of an experiment; no report was written")
        return 0
    write_json(here.reports / "experiment.json", content)
    (here.reports / "experiment.html").write_text(render_page(content))
    print(_heading(content), *_warnings(content), f"written to {here.reports / 'experiment.html'}", sep="\n")
    return 1 if content["sample_ratio"]["holds"] is False else 0


def render_page(content: Content) -> str:
    """The report of an experiment as one HTML file without external resources.

    Args:
        content: `experiment.json` as a dictionary.
    """
    environment = create_environment(TEMPLATES, charts.TEMPLATES)
    environment.filters |= {
        "difference_class": difference_class,
        "signed_interval": lambda interval: format_interval(interval, signed=True),
    }
    return environment.get_template("experiment.html").render(
        content=content,
        heading=_heading(content),
        warnings=_warnings(content),
        has_failed=content["sample_ratio"]["holds"] is False,
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
    return f"Experiment {content['experiment']}, {content['since']} to {content['until']} UTC"


def _warnings(content: Content) -> list[str]:
    """The outcome of the sample-ratio check, then everything that limits the comparison."""
    warnings = [content["sample_ratio"]["says"]]
    if content["shared_users"]:
        warnings.append(
            f"{content['shared_users']:,} users were exposed to more than one arm, which indicates an error"
        )
    pending, exposures = (sum(arm[name] for arm in content["arms"].values()) for name in ("unsettled", "exposures"))
    if pending:
        warnings.append(
            f"the outcome window of {pending:,} of {exposures:,} exposures is still open; metrics may change"
        )
    return warnings


if __name__ == "__main__":
    sys.exit(main())
