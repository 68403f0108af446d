"""`python -m console.server`: the reading room, one index page with links to every report and service, and the reports.

Serves what lies in two folders of SEGUE_HOME and the pages made of it; knows nothing about how a report was made.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from config.settings import Settings, load_settings
from console.data_page import render_data_page
from console.index_page import render_index, render_release
from console.report_pages import render_missing_report, render_report


class Handler(SimpleHTTPRequestHandler):
    """Answers with pages and with the two folders that hold reports; the rest of SEGUE_HOME stays private."""

    def __init__(self, *arguments: object, settings: Settings) -> None:
        self.settings = settings
        super().__init__(*arguments, directory=str(settings.home))  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """One page."""
        if not self._respond(has_body=True):
            super().do_GET()

    def do_HEAD(self) -> None:
        """The head of one page."""
        if not self._respond(has_body=False):
            super().do_HEAD()

    def _respond(self, has_body: bool) -> bool:
        """Whether the answer is no file that is there: a page made now, or one that says what is missing."""
        made = self._render()
        if self.path == "/favicon.ico":  # browsers ask for it, whatever the report
            self._send(204, "", has_body=False)
        elif made is not None:
            self._send(200, made, has_body)
        elif wanted := render_missing_report(self.path, self.settings):
            self._send(404, wanted, has_body)
        elif not self._is_public():
            self.send_error(404)
        else:
            return False
        return True

    def _render(self) -> str | None:
        """The page that is made when it is asked for."""
        _, *parts = self.path.partition("?")[0].split("/")
        if parts == [""]:
            return render_index(self._settings_for_client())
        if parts == ["data"]:
            return render_data_page(self.settings)
        if len(parts) == 2 and parts[0] == "releases":
            return render_release(parts[1], self._settings_for_client())
        return render_report(parts[1], self.settings) if len(parts) == 2 and parts[0] == "read" else None

    def _settings_for_client(self) -> Settings:
        """The settings with the host under which the reader reached this service: in a container we listen on 0.0.0.0."""
        name = self.headers.get("Host", "").rpartition(":")[0]
        return replace(self.settings, host=name) if name else self.settings

    def _send(self, status: int, text: str, has_body: bool) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if has_body:
            self.wfile.write(body)

    def _is_public(self) -> bool:
        asked = Path(self.translate_path(self.path)).resolve()
        folders = (self.settings.reports, self.settings.home / "dbt" / "target")
        return any(asked.is_relative_to(folder) for folder in folders)


def main() -> None:
    """Serve until the process is ended."""
    settings = load_settings()
    handler = functools.partial(Handler, settings=settings)
    with ThreadingHTTPServer((settings.host, settings.console_port), handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
