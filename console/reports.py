"""Table of the reports that the pipeline writes below SEGUE_HOME."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from config.settings import Settings

ReportContent = dict[str, Any]


def no_summary(_: ReportContent) -> str:
    """Empty summary."""
    return ""


def summarize_evaluation(content: ReportContent) -> str:
    """Recall of the slate with its interval, and that of the best heuristic baseline."""
    value, low, high = content["slate"]["served"]["recall_at_30"]["all"]
    baseline = content["best_memory"]
    baseline_value = content["slate"].get(baseline, {}).get("recall_at_30", {}).get("all", [None])[0]
    text = f"as of {content['as_of']}: recall@30 of the slate {value:.3f} [{low:.3f}, {high:.3f}]"
    return text + (f", {baseline} {baseline_value:.3f}" if baseline_value is not None else "")


def summarize_validation(content: ReportContent) -> str:
    """Number of failed expectations."""
    if content["error"]:
        return str(content["error"])
    failed = sum(len(suite["failed"]) for suite in content["suites"])
    total = sum(suite["expectations"] for suite in content["suites"])
    return f"as of {content['as_of']}: {failed} of {total} expectations failed"


def summarize_drift(content: ReportContent) -> str:
    """Distance of the newest day from the week before it."""
    measured = {name: fact for suite in content["suites"] for name, fact in suite["measured"].items()}
    values = [
        f"{name.replace('_', ' ')} {measured[name]['value']:.3f}"
        for name in ("action_drift", "length_drift", "volume_ratio")
        if measured.get(name, {}).get("value") is not None
    ]
    notes = [note for suite in content["suites"] for note in suite["notes"]]
    return f"as of {content['as_of']}: " + (", ".join(values) or "; ".join(notes) or "nothing to compare")


def summarize_skew(content: ReportContent) -> str:
    """Share of differing values."""
    if not content["requests"]:
        return f"as of {content['as_of']}: no request was logged on the day before"
    counts = f"{content['unequal']:,} of {content['values']:,} values differ ({content['skew_rate']:.3%})"
    return f"as of {content['as_of']}: {counts}"


def summarize_benchmark(content: ReportContent) -> str:
    """Number of measurements that are at least as good as their peer or limit."""
    ratios = [row["ratio"] for row in content["results"] if row["ratio"] is not None]
    good = sum(ratio >= 1 for ratio in ratios)
    return f"{len(content['results'])} measurements; {good} of {len(ratios)} reach their peer or limit"


def summarize_experiment(content: ReportContent) -> str:
    """Number of users of each arm."""
    arms = content["arms"]
    users = ", ".join(f"{name} ({arm['users']:,} users)" for name, arm in arms.items())
    return f"{len(arms)} arm{'s'[: len(arms) != 1]}: {users}"


@dataclass(frozen=True)
class Report:
    """One report. JSON and Markdown files are shown as pages of the console."""

    name: str
    path: str  # file below SEGUE_HOME that is shown, optionally with an anchor
    description: str
    make_command: str  # command that generates the report
    json_path: str = ""  # JSON content below SEGUE_HOME from which the summary is computed
    summarize: Callable[[ReportContent], str] = no_summary

    @property
    def url_path(self) -> str:
        """URL path in the console."""
        file = Path(self.path)
        return f"/read/{file.stem}" if file.suffix in (".json", ".md") else f"/{self.path}"

    def exists(self, settings: Settings) -> bool:
        """True if the report has been generated."""
        return (settings.home / self.path.partition("#")[0]).exists()

    def modified_at(self, settings: Settings) -> datetime:
        """UTC time at which the report was written."""
        return datetime.fromtimestamp((settings.home / self.path.partition("#")[0]).stat().st_mtime, UTC)

    def read_summary(self, settings: Settings) -> str:
        """Summary of the content; "" if the content is missing or malformed."""
        try:
            return self.summarize(json.loads((settings.home / self.json_path).read_text())) if self.json_path else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""


REPORTS = (
    Report("Evaluation", "reports/evaluation.html", "channels, fusion, rankers and slate against heuristic baselines, with plots",
           "make run", "reports/evaluation.json", summarize_evaluation),
    Report("Data docs, landed", "reports/data_docs/landed/outcome.html", "expectations on landed events, and their results",
           "make run", "reports/data_docs/landed/outcome.json", summarize_validation),
    Report("Data docs, marts", "reports/data_docs/marts/outcome.html", "expectations on every mart, and their results",
           "make run", "reports/data_docs/marts/outcome.json", summarize_validation),
    Report("Drift", "reports/data_docs/landed/outcome.html#measured", "the newest day of events against the week before it",
           "make run", "reports/data_docs/landed/outcome.json", summarize_drift),
    Report("dbt docs", "dbt/target/static_index.html", "every model, its columns, tests and lineage", "make run"),
    Report("Skew", "reports/skew.json", "features that requests read online against those that training reads",
           "make run", "reports/skew.json", summarize_skew),
    Report("Experiment", "reports/experiment.html", "comparison of releases that were shown to users (A/B test)",
           "make run", "reports/experiment.json", summarize_experiment),
    Report("Benchmark", "reports/benchmark.json", "speed compared with other libraries", "make bench",
           "reports/benchmark.json", summarize_benchmark),
)  # fmt: skip


def list_ablations(settings: Settings) -> list[Report]:
    """One report per ablation that has been run."""
    files = sorted(settings.reports.glob("ablation_*.md"))
    return [
        Report(
            f"Ablation {file.stem.removeprefix('ablation_')}",
            f"reports/{file.name}",
            read_ablation_question(file),
            "make ablation",
        )
        for file in files
    ]


def read_ablation_question(report: Path) -> str:
    """Question of an ablation report: its first line that is not a heading."""
    lines = report.read_text(encoding="utf-8").splitlines()
    return next((line for line in lines if line and not line.startswith("#")), "")
