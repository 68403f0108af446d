"""`python -m console.server`: HTTP server of the console, an index of reports, services and releases, and their pages.

Serves generated pages and two folders of SEGUE_HOME (reports, dbt docs); the rest of SEGUE_HOME stays private. With an
operator's password, everything but `/livez` requires it.
"""

from __future__ import annotations

import functools
import signal
import sys
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from config.bind_address import check_bind_address
from config.settings import (
    SettingError,
    Settings,
    is_loopback,
    is_loopback_authority,
    load_operator_password,
    load_settings,
)
from console.data_page import render_data_page
from console.index_page import render_index, render_release
from console.recommender import read_degraded_parts
from console.reports import render_missing_report, render_report
from web.basic_authentication import CHALLENGE, is_operator


class Handler(SimpleHTTPRequestHandler):
    """Request handler: generated pages first, then files of the two public folders."""

    def __init__(self, *arguments: object, settings: Settings, password: str = "") -> None:
        self.settings, self._password = settings, password
        super().__init__(*arguments, directory=str(settings.home))  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Respond with a page or a file."""
        if not self._respond(has_body=True):
            super().do_GET()

    def do_HEAD(self) -> None:
        """Respond with the headers of a page or a file."""
        if not self._respond(has_body=False):
            super().do_HEAD()

    def _respond(self, has_body: bool) -> bool:
        """Send a generated page or an error; False if the path is a public file."""
        # A site could point its name at this machine and read the pages as its own (DNS rebinding).
        if is_loopback(self.settings.host) and not is_loopback_authority(self.headers.get("Host", "")):
            self.send_error(403, explain="On a loopback address the console answers to localhost and 127.0.0.1 only")
            return True
        if self.path == "/livez":
            self._send(200, "", has_body=False)
            return True
        if self._password and not is_operator(self.headers.get("Authorization", ""), self._password):
            self._send(401, "a password is required; the user is segue, see SEGUE_OPERATOR_PASSWORD", has_body)
            return True
        page = self._render()
        if self.path == "/favicon.ico":  # browsers request it for reports without an icon
            self._send(204, "", has_body=False)
        elif page is not None:
            self._send(200, page, has_body)
        elif missing := render_missing_report(self.path, self.settings):
            self._send(404, missing, has_body)
        elif not self._is_public():
            self.send_error(404)
        else:
            return False
        return True

    def _render(self) -> str | None:
        """Page generated for this request; None if there is none at the path."""
        _, *parts = self.path.partition("?")[0].split("/")
        if parts == [""]:
            return render_index(self._settings_for_client(), read_degraded_parts(self.settings))
        if parts == ["data"]:
            return render_data_page(self.settings)
        if len(parts) == 2 and parts[0] == "releases":
            return render_release(parts[1], self._settings_for_client())
        return render_report(parts[1], self.settings) if len(parts) == 2 and parts[0] == "read" else None

    def _settings_for_client(self) -> Settings:
        """Settings with the host that the client used: in a container the server listens on 0.0.0.0."""
        name = self.headers.get("Host", "").rpartition(":")[0]
        return replace(self.settings, host=name) if name else self.settings

    def _send(self, status: int, text: str, has_body: bool) -> None:
        body = text.encode()
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", CHALLENGE)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if has_body:
            self.wfile.write(body)

    def _is_public(self) -> bool:
        file = Path(self.translate_path(self.path)).resolve()
        folders = (self.settings.reports, self.settings.home / "dbt" / "target")
        return any(file.is_relative_to(folder) for folder in folders)


def main() -> None:
    """Serve until the process is stopped."""
    try:
        settings = load_settings()
        check_bind_address(settings, "pages")
        handler = functools.partial(Handler, settings=settings, password=load_operator_password())
    except SettingError as error:
        sys.exit(str(error))
    # As the first process of a container, Python ignores SIGTERM unless there is a handler.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with ThreadingHTTPServer((settings.host, settings.console_port), handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
