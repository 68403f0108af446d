"""The reports that the line leaves below SEGUE_HOME: where each lies, what it is, and the verb that makes it.

`REPORTS` is the only place that knows which there are. Knows nothing about how a report is made.
"""

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
    """No figure stands on the index."""
    return ""


def summarize_evaluation(content: ReportContent) -> str:
    """What a listener's slate is worth, beside the best memory."""
    value, low, high = content["slate"]["served"]["recall_at_30"]["all"]
    memory = content["best_memory"]
    beside = content["slate"].get(memory, {}).get("recall_at_30", {}).get("all", [None])[0]
    text = f"as of {content['as_of']}: recall@30 of the slate {value:.3f} [{low:.3f}, {high:.3f}]"
    return text + (f", {memory} {beside:.3f}" if beside is not None else "")


def summarize_validation(content: ReportContent) -> str:
    """How many expectations failed."""
    if content["error"]:
        return str(content["error"])
    failed = sum(len(suite["failed"]) for suite in content["suites"])
    total = sum(suite["expectations"] for suite in content["suites"])
    return f"as of {content['as_of']}: {failed} of {total} expectations failed"


def summarize_drift(content: ReportContent) -> str:
    """How far the newest day is from the week before it."""
    measured = {name: fact for suite in content["suites"] for name, fact in suite["measured"].items()}
    shown = [f"{name.replace('_', ' ')} {measured[name]['value']:.3f}" for name in ("action_drift", "length_drift", "volume_ratio")
             if measured.get(name, {}).get("value") is not None]  # fmt: skip
    notes = [note for suite in content["suites"] for note in suite["notes"]]
    return f"as of {content['as_of']}: " + (", ".join(shown) or "; ".join(notes) or "nothing to compare")


def summarize_skew(content: ReportContent) -> str:
    """The share of values that differ."""
    if not content["requests"]:
        return f"as of {content['as_of']}: no request was logged on the day before"
    return f"as of {content['as_of']}: {content['unequal']:,} of {content['values']:,} values differ ({content['skew_rate']:.3%})"


def summarize_benchmark(content: ReportContent) -> str:
    """How many figures are as good as what they are held against."""
    ratios = [row["ratio"] for row in content["results"] if row["ratio"] is not None]
    return f"{len(content['results'])} figures; {sum(ratio >= 1 for ratio in ratios)} of {len(ratios)} reach their peer or limit"


def summarize_experiment(content: ReportContent) -> str:
    """Which releases were shown."""
    arms = content["arms"]
    return f"{len(arms)} arm{'s'[: len(arms) != 1]}: " + ", ".join(
        f"{name} ({arm['users']:,} users)" for name, arm in arms.items()
    )


@dataclass(frozen=True)
class Report:
    """One report. `path` is what a person reads, below SEGUE_HOME; `verb` makes it; `content` is the JSON beside it, of
    which `fact` says the first thing to know. JSON and Markdown are shown as pages at `address`.
    """

    name: str
    path: str
    description: str
    make_command: str
    json_path: str = ""
    summarize: Callable[[ReportContent], str] = no_summary

    @property
    def url_path(self) -> str:
        """Where the pages service shows it."""
        file = Path(self.path)
        return f"/read/{file.stem}" if file.suffix in (".json", ".md") else f"/{self.path}"

    def exists(self, settings: Settings) -> bool:
        """Whether it is there."""
        return (settings.home / self.path.partition("#")[0]).exists()

    def modified_at(self, settings: Settings) -> datetime:
        """When it was written, UTC."""
        return datetime.fromtimestamp((settings.home / self.path.partition("#")[0]).stat().st_mtime, UTC)

    def read_summary(self, settings: Settings) -> str:
        """The first thing to know; "" where the content is not there, or not what it should be."""
        try:
            return self.summarize(json.loads((settings.home / self.json_path).read_text())) if self.json_path else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""


REPORTS = (
    Report("Evaluation", "reports/evaluation.html", "channels, fusion, rankers and slate against the memories, with plots",
           "make run", "reports/evaluation.json", summarize_evaluation),
    Report("Data docs, landed", "reports/data_docs/landed/outcome.html", "what was expected of landed events, and the outcome",
           "make run", "reports/data_docs/landed/outcome.json", summarize_validation),
    Report("Data docs, marts", "reports/data_docs/marts/outcome.html", "what was expected of every mart, and the outcome",
           "make run", "reports/data_docs/marts/outcome.json", summarize_validation),
    Report("Drift", "reports/data_docs/landed/outcome.html#measured", "the newest day of events against the week before it",
           "make run", "reports/data_docs/landed/outcome.json", summarize_drift),
    Report("dbt docs", "dbt/target/static_index.html", "every model, its columns, tests and lineage", "make run"),
    Report("Skew", "reports/skew.json", "what requests read online, held against what training reads",
           "make run", "reports/skew.json", summarize_skew),
    Report("Experiment", "reports/experiment.html", "releases that listeners were shown, side by side, once they were",
           "make run", "reports/experiment.json", summarize_experiment),
    Report("Benchmark", "reports/benchmark.json", "speed beside our peers", "make bench", "reports/benchmark.json", summarize_benchmark),
)  # fmt: skip


def list_ablations(settings: Settings) -> list[Report]:
    """A report for each study that was made."""
    files = sorted(settings.reports.glob("study_*.md"))
    return [
        Report(
            f"Study {file.stem.removeprefix('study_')}",
            f"reports/{file.name}",
            read_ablation_question(file),
            "make study",
        )
        for file in files
    ]


def read_ablation_question(study: Path) -> str:
    """What a study asks: its first line that is no heading."""
    lines = study.read_text(encoding="utf-8").splitlines()
    return next((line for line in lines if line and not line.startswith("#")), "")
