"""Reports that the pipeline writes below SEGUE_HOME, and links to them."""

from __future__ import annotations

from config.settings import Settings

REPORTS = {
    "evaluation": ("reports/evaluation.html", "evaluation"),
    "experiment": ("reports/experiment.html", "experiment"),
    "landed": ("reports/data_docs/landed/outcome.html", "data docs of landed events"),
    "marts": ("reports/data_docs/marts/outcome.html", "data docs of marts"),
    "content": ("reports/data_docs/content/outcome.html", "data docs of content"),
    "dbt": ("dbt/target/static_index.html", "dbt docs"),
    "skew": ("reports/skew.json", "skew"),
}
"""Name → file below SEGUE_HOME, link text."""


def report_links(settings: Settings, *names: str) -> list[dict[str, str]]:
    """Links to those of the reports that exist."""
    found = (REPORTS[name] for name in names)
    return [{"url": f"/{file}", "text": text} for file, text in found if (settings.home / file).exists()]
