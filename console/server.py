"""`python -m console.server`: HTTP server of the console: now, releases, quality.

Serves generated pages, live metrics and two folders of SEGUE_HOME (reports, dbt docs); the rest of SEGUE_HOME stays
private. With an operator's password, everything but `/livez` requires it; without one, actions on releases are not possible.
"""

from __future__ import annotations

import contextlib
import functools
import re
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from urllib.parse import parse_qsl, urlsplit

from config.bind_address import check_bind_address
from config.command_line import report_errors
from config.settings import (
    SettingError,
    Settings,
    is_loopback,
    is_loopback_authority,
    load_operator_password,
    load_settings,
)
from console.actions import (
    ACTIONS,
    WITHOUT_RELEASE,
    InvalidActionError,
    Outcome,
    active_release,
    command_line,
    read_actions,
    run_action,
)
from console.live_metrics import INTERVAL_S, MetricsSampler
from console.now_page import render_now_page, render_state
from console.page_parts import render, runs_url
from console.quality_page import render_quality_page, render_table_page
from console.releases import find_previous, list_releases
from console.releases_page import render_release, render_releases_page
from serving.observability.periodic_task import PeriodicTask
from web.basic_authentication import OperatorPassword

STATIC = Path(__file__).parent / "static"
STATIC_PATH = "/static/"
EMPTY = {"/livez": 200, "/favicon.ico": 204}
"""Path → status of responses without content; browsers request the icon for reports without one."""
MAX_FORM_BYTES = 1000
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
DBT_DOCS = "/dbt/"
DBT_DOCS_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data:; font-src data:; base-uri 'none'; frame-ancestors 'none'"
)
"""dbt's page has its scripts and its data inline; in the sandbox they are of another origin than the console."""


class Handler(SimpleHTTPRequestHandler):
    """Request handler: generated pages first, then files of the two public folders."""

    timeout = 30.0
    """Seconds that a client may send or read nothing; without a limit, connections without a request would keep their threads."""

    def __init__(
        self, *arguments: object, settings: Settings, password: OperatorPassword, sampler: MetricsSampler
    ) -> None:
        self.settings, self._password, self._sampler = settings, password, sampler
        super().__init__(*arguments, directory=str(settings.home))  # type: ignore[arg-type]

    def handle(self) -> None:
        """Answer the requests of a connection; a browser that leaves a page closes it before it has the answer."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        """Respond with a page or a file."""
        if not self._respond_or_fail():
            super().do_GET()

    def do_HEAD(self) -> None:
        """Respond with the headers of a page or a file."""
        if not self._respond_or_fail():
            super().do_HEAD()

    def do_POST(self) -> None:
        """Run an action of the operator, such as a rollback, and respond with its result."""
        if self._reject():
            return
        name = self.path.removeprefix("/actions/")
        # A browser sends the password with requests of other sites too (cross-site request forgery).
        origin = urlsplit(self.headers.get("Origin", "")).netloc
        if not origin or origin != self.headers.get("Host", ""):
            self.send_error(403, explain="Actions are accepted from the pages of this console only")
        elif not self._password:
            self.send_error(403, explain="Actions need an operator's password: set SEGUE_OPERATOR_PASSWORD")
        elif (values := self._read_form()) is not None:
            try:
                outcome = run_action(name, values, self.client_address[0], self.settings)
            except InvalidActionError as error:
                self.send_error(400, explain=str(error))
            except OSError as error:  # the record comes first, so nothing was done
                self.send_error(
                    500, explain=f"The action cannot be recorded ({error}); use the DAG set_release instead"
                )
            else:
                self._send(200, self._render_action(name, values, outcome))

    def _read_form(self) -> dict[str, str] | None:
        """Values of the request's form; None if an error was sent."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_FORM_BYTES:
            self.send_error(413, explain=f"A form has at most {MAX_FORM_BYTES} bytes, and a Content-Length")
            return None
        return dict(parse_qsl(self.rfile.read(int(length)).decode("utf-8", errors="replace")))

    def _reject(self) -> bool:
        """Send an error to a foreign name or a client without the password; False if the request is accepted."""
        # A site could point its name at this machine and read the pages as its own (DNS rebinding).
        if is_loopback(self.settings.host) and not is_loopback_authority(self.headers.get("Host", "")):
            self.send_error(403, explain="On a loopback address the console answers to localhost and 127.0.0.1 only")
            return True
        if not self._password or self.path == "/livez":
            return False
        status, headers = self._password.check(self.headers.get("Authorization", ""), self.client_address[0])
        if status == 200:
            return False
        why = "a password is required; the user is segue, see SEGUE_OPERATOR_PASSWORD"
        if status == 429:
            why = f"too many wrong passwords from this address; retry in {headers['Retry-After']} s"
        self._send(status, why, headers=headers)
        return True

    def _respond_or_fail(self) -> bool:
        """As `_respond`; sends an error if a page cannot be made, such as from a damaged file."""
        try:
            return self._respond()
        except ConnectionError:
            raise
        except Exception as error:
            traceback.print_exc()
            why = f"The page cannot be made ({type(error).__name__}: {error}); the log of the console has the details"
            self.send_error(500, explain=why)
            return True

    def _respond(self) -> bool:
        """Send a generated page or an error; False if the path is a public file."""
        if self._reject():
            return True
        page = self._render()
        if self.path in EMPTY:
            self._send(EMPTY[self.path], "")
        elif self.path == "/mlflow":
            self._send(302, "", headers={"Location": runs_url(self._settings_for_client())})
        elif page is not None:
            self._send(200, page)
        elif not self._is_public():
            self.send_error(404)
        elif not Path(self.translate_path(self.path)).exists():
            self.send_error(404, explain="The pipeline writes this report: make run")
        else:
            return False
        return True

    def _render(self) -> str | None:
        """Page generated for this request; None if there is none at the path."""
        path, _, query = self.path.partition("?")
        values = dict(parse_qsl(query))
        match path.split("/")[1:]:
            case [""]:
                return render_now_page(self.settings, self._settings_for_client(), self._sampler, bool(self._password))
            case ["state"]:
                return render_state(self.settings, self._sampler)
            case ["actions", name] if name in ACTIONS:
                return self._render_action(name, values)
            case ["releases"]:
                return render_releases_page(self.settings, bool(self._password))
            case ["releases", name]:
                return render_release(name, values.get("other", ""), self._settings_for_client())
            case ["quality"]:
                return render_quality_page(self.settings)
            case ["quality", name]:
                return render_table_page(name, self.settings)
        return None

    def _render_action(self, name: str, values: dict[str, str], outcome: Outcome | None = None) -> str:
        action = ACTIONS[name]
        return render(
            "action.html",
            name=name,
            title=action.title,
            effect=action.effect,
            release=None if name in WITHOUT_RELEASE else values.get("release", ""),
            experiment=values.get("experiment", ""),
            active=active_release(self.settings),
            can_act=bool(self._password),
            previous=find_previous(list_releases(self.settings), self.settings),
            command=command_line(self.settings),
            outcome=outcome,
            actions=read_actions(self.settings),
        )

    def _settings_for_client(self) -> Settings:
        """Settings with the host that the client used: in a container the server listens on 0.0.0.0."""
        name = re.sub(r":\d*$", "", self.headers.get("Host", ""))
        return self.settings.model_copy(update={"host": name}) if name else self.settings

    def end_headers(self) -> None:
        """Add the headers of every response, also of files and errors."""
        is_dbt = getattr(self, "path", "").startswith(DBT_DOCS)
        self.send_header("Content-Security-Policy", DBT_DOCS_POLICY if is_dbt else PAGE_POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        super().end_headers()

    def _send(
        self,
        status: int,
        text: str,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        body = text.encode()
        self.send_response(status)
        fields = {"Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(body)), **headers}
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def translate_path(self, path: str) -> str:
        """File of a path: below SEGUE_HOME, or a script or style sheet of the console."""
        name = path.partition("?")[0].removeprefix(STATIC_PATH)
        return str(STATIC / name) if path.startswith(STATIC_PATH) and "/" not in name else super().translate_path(path)

    def _is_public(self) -> bool:
        try:
            file = Path(self.translate_path(self.path)).resolve()
        except ValueError:  # a zero byte
            return False
        folders = (self.settings.reports, self.settings.home / "dbt" / "target", STATIC)
        return any(file.is_relative_to(folder) and file != STATIC for folder in folders)


class Server(ThreadingHTTPServer):
    """HTTP server that also listens on IPv6 addresses."""

    def __init__(self, address: tuple[str, int], handler: Callable[..., Handler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)


@report_errors(SettingError, code=1)
def main() -> int:
    """Serve until the process is stopped."""
    settings = load_settings()
    check_bind_address(settings, "pages")
    sampler = MetricsSampler(settings)
    password = OperatorPassword(load_operator_password())
    handler = functools.partial(Handler, settings=settings, password=password, sampler=sampler)
    # As the first process of a container, Python ignores SIGTERM unless there is a handler.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with Server((settings.host, settings.console_port), handler) as server:
        PeriodicTask("metrics-sampler", INTERVAL_S, sampler.sample).start()
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
