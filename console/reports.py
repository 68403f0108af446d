"""Reports that the pipeline writes below SEGUE_HOME: their table, summaries, and pages of JSON and Markdown files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import UndefinedError

from config.settings import Settings
from console.quality_page import summarize_quality
from console.templates import render
from training.evaluation.report.verdicts import gate_baseline

ReportContent = dict[str, Any]
Spans = list[tuple[str, bool]]  # text, whether it is code

HEADING, CODE = re.compile(r"(#+) (.*)"), re.compile(r"`([^`]+)`")


def no_summary(_: ReportContent) -> str:
    """Empty summary."""
    return ""


def summarize_evaluation(content: ReportContent) -> str:
    """Recall of the slate with its interval, and that of the baseline of the release gate."""
    value, low, high = content["slate"]["served"]["recall_at_30"]["all"]
    baseline = gate_baseline(content)
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
    url: str = ""  # path in the console of a report with a page of its own

    @property
    def url_path(self) -> str:
        """URL path in the console."""
        if self.url:
            return self.url
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


EVALUATION = Report(
    "Evaluation",
    "reports/evaluation.html",
    "channels, fusion, rankers and slate against heuristic baselines, with plots",
    "make run",
    "reports/evaluation.json",
    summarize_evaluation,
)
"""Written at the end of each run of the pipeline, whether its release passes the gate or not."""

REPORTS = (
    EVALUATION,
    Report("Data quality", "reports/data_quality.json", "rows, nulls and distributions of every mart by day, against the week before",
           "make run", "reports/data_quality.json", summarize_quality, "/quality"),
    Report("Data docs, landed", "reports/data_docs/landed/outcome.html", "expectations on landed events, and their results",
           "make run", "reports/data_docs/landed/outcome.json", summarize_validation),
    Report("Data docs, marts", "reports/data_docs/marts/outcome.html", "expectations on every mart, and their results",
           "make run", "reports/data_docs/marts/outcome.json", summarize_validation),
    Report("Data docs, content", "reports/data_docs/content/outcome.html", "expectations on the vectors of tracks",
           "make run", "reports/data_docs/content/outcome.json", summarize_validation),
    Report("Drift", "reports/data_docs/landed/outcome.html#measured", "the newest day of events against the week before it",
           "make run", "reports/data_docs/landed/outcome.json", summarize_drift),
    Report("dbt docs", "dbt/target/static_index.html", "every model, its columns, tests and lineage", "make run"),
    Report("Skew", "reports/skew.json", "features that requests read online against those that training reads",
           "make run", "reports/skew.json", summarize_skew),
    Report("Experiment", "reports/experiment.html", "comparison of releases that were shown to users (A/B test)",
           "make run", "reports/experiment.json", summarize_experiment),
    Report("Benchmark", "reports/benchmark.json", "speed compared with other libraries", "make bench",
           "reports/benchmark.json", summarize_benchmark),
    Report("Leaderboard", "reports/leaderboard.html", "every baseline and model on public data and the landed logs",
           "make leaderboard"),
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


def render_report(name: str, settings: Settings) -> str | None:
    """Page of `benchmark`, `skew` or `ablation_<name>`; None if the report does not exist or is incomplete."""
    if not re.fullmatch("ablation_[a-z0-9_]+|benchmark|skew", name):
        return None
    file = settings.reports / f"{name}{'.md' if name.startswith('ablation_') else '.json'}"
    try:
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".md":
            return render("markdown.html", title=name.replace("_", " "), blocks=parse_markdown(text))
        content = json.loads(text)
        return _render_benchmark(content) if name == "benchmark" else _render_skew(content)
    except (OSError, ValueError, KeyError, TypeError, UndefinedError):
        return None


def render_missing_report(path: str, settings: Settings) -> str | None:
    """Page that names the command that generates a missing report; None if `path` is not that of a missing report."""
    for report in REPORTS:
        if report.url_path.partition("#")[0] == path and not report.exists(settings):
            return render("missing_report.html", report=report)
    return None


def _render_benchmark(content: dict[str, Any]) -> str:
    return render("benchmark.html", **{key: content[key] for key in ("machine", "revision", "results")})


def _render_skew(content: dict[str, Any]) -> str:
    kinds = ("requests", "compared", "values", "unequal", "late", "early", "stale", "restated", "pending", "unread")
    if not content["requests"]:
        return render("skew.html", as_of=content["as_of"], requests=0)
    return render(
        "skew.html",
        as_of=content["as_of"],
        requests=content["requests"],
        unequal=content["unequal"],
        values=content["values"],
        skew_rate=content["skew_rate"],
        counts=[(kind, f"{content[kind]:,}") for kind in kinds if kind in content],
        by_feature=[(name, f"{count:,}") for name, count in content["by_feature"].items()],
        examples=[json.dumps(example, indent=1) for example in content["examples"][:5]],
    )


def parse_markdown(text: str) -> list[dict[str, Any]]:
    """Blocks of the Markdown subset that ablation reports use: headings, one-line paragraphs, tables.

    Returns:
        Dictionaries with `kind` ("h1" to "h3", "p" or "table"), and `spans` or, for tables, `header` and `rows`.
    """
    blocks: list[dict[str, Any]] = []
    table: list[list[Spans]] = []

    def end_table() -> None:
        if table:
            blocks.append({"kind": "table", "header": table[0], "rows": table[1:]})
        table.clear()

    for line in text.splitlines():
        if line.startswith("|"):
            if not set(line) <= set("|- :"):
                table.append([_parse_spans(cell.strip()) for cell in line.strip().strip("|").split("|")])
            continue
        end_table()
        if heading := HEADING.fullmatch(line):
            blocks.append({"kind": f"h{min(len(heading[1]), 3)}", "spans": _parse_spans(heading[2])})
        elif line.strip():
            blocks.append({"kind": "p", "spans": _parse_spans(line)})
    end_table()
    return blocks


def _parse_spans(text: str) -> Spans:
    return [(part, position % 2 == 1) for position, part in enumerate(CODE.split(text)) if part]
