"""The reading room: one index page with links to every report and service, and the reports below it.

Serves files below SEGUE_HOME/reports on loopback; knows nothing about how a report was made.
"""

from __future__ import annotations

import functools
import html
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from settings import Settings, load

# What a person may want to read, the file below SEGUE_HOME that holds it, and what it is.
PAGES = (
    ("Evaluation", "reports/evaluation.html", "channels, fusion, rankers and slate against the memories"),
    (
        "Data docs, landed",
        "reports/data_docs/landed/outcome.html",
        "what was expected of landed events, and the outcome",
    ),
    ("Data docs, marts", "reports/data_docs/marts/outcome.html", "what was expected of every mart, and the outcome"),
    ("dbt docs", "dbt/target/static_index.html", "every model, its columns, tests and lineage"),
    ("Skew", "reports/skew.json", "what requests read online, held against what training reads"),
    ("Experiment", "reports/experiment.html", "releases that listeners were shown, side by side"),
    ("Benchmark", "reports/benchmark.json", "speed beside our peers"),
)


def index(settings: Settings) -> str:
    """The index page; a report that does not exist yet is named without a link."""
    services = (
        ("Airflow", f"http://{settings.host}:{settings.airflow_port}", "trigger, watch, run again"),
        (
            "Listening page",
            f"http://{settings.host}:{settings.recommender_port}",
            "choose a listener, play, skip, like",
        ),
        ("API", f"http://{settings.host}:{settings.recommender_port}/docs", "the recommender over HTTP, to try out"),
        ("MLflow", f"http://{settings.host}:{settings.mlflow_port}", "training runs"),
    )
    rows = [f'<li><a href="{url}">{name}</a>: {what}</li>' for name, url, what in services]
    for name, path, what in PAGES:
        is_there = (settings.home / path).exists()
        label = f'<a href="/{path}">{name}</a>' if is_there else f"{name} (not written yet)"
        rows.append(f"<li>{label}: {html.escape(what)}</li>")
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Segue</title>"
        "<style>body{font:16px/1.6 system-ui;max-width:44rem;margin:3rem auto;padding:0 1rem}</style>"
        f"<h1>Segue</h1><ul>{''.join(rows)}</ul></html>"
    )


class Handler(SimpleHTTPRequestHandler):
    """Answers with the index and the two folders that hold reports; the rest of SEGUE_HOME stays private."""

    def __init__(self, *arguments: object, settings: Settings) -> None:
        self.settings = settings
        super().__init__(*arguments, directory=str(settings.home))  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """One page."""
        if self.path == "/":
            body = index(self.settings).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        elif self._is_public():
            super().do_GET()
        else:
            self.send_error(404)

    def do_HEAD(self) -> None:
        """The head of one page."""
        if self._is_public():
            super().do_HEAD()
        else:
            self.send_error(404)

    def _is_public(self) -> bool:
        asked = Path(self.translate_path(self.path)).resolve()
        folders = (self.settings.reports, self.settings.home / "dbt" / "target")
        return any(asked.is_relative_to(folder) for folder in folders)


def main() -> None:
    """Serve until the process is ended."""
    settings = load()
    handler = functools.partial(Handler, settings=settings)
    with ThreadingHTTPServer((settings.host, settings.pages_port), handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
