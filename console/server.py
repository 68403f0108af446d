"""`python -m console.server`: HTTP server of the console: now, releases, quality.

Serves generated pages, live metrics and two folders of SEGUE_HOME (reports, dbt docs); the rest of SEGUE_HOME stays
private. With an operator's password, everything but `/livez` requires it; without one, a rollback is not possible.
"""

from __future__ import annotations

import re
import sys
import traceback
from functools import partial
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

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
from console.actions import InvalidActionError, Outcome, active_release, command_line, read_actions, roll_back
from console.live_metrics import INTERVAL_S, MetricsSampler
from console.now_page import render_now_page, render_state
from console.page_parts import render, runs_url
from console.quality_page import render_quality_page, render_table_page
from console.releases import find_previous, list_releases
from console.releases_page import render_release, render_releases_page
from serving.observability.periodic_task import PeriodicTask
from web.basic_authentication import OperatorPassword

STATIC = Path(__file__).parent / "static"
MAX_FORM_BYTES = 1000
NOTHING_HERE = "There is nothing at this address; the pipeline writes the reports: make run"
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


class Reports(StaticFiles):
    """Files of a folder that the pipeline may not have made yet."""

    async def check_config(self) -> None:
        """Accept a folder that is missing."""


class Console:
    """The pages and files of the console, and the checks and headers of all of them.

    Args:
        settings: Home of the reports, and addresses of the services.
        password: The operator's password.
        sampler: Live samples of the last hour.

    Attributes:
        app: The ASGI application.
    """

    def __init__(self, settings: Settings, password: OperatorPassword, sampler: MetricsSampler) -> None:
        self._settings, self._password, self._sampler = settings, password, sampler
        routes = [
            Route("/", self._now),
            Route("/state", lambda _: HTMLResponse(render_state(settings, sampler))),
            Route("/actions/roll_back", lambda _: HTMLResponse(self._render_roll_back())),
            Route("/actions/roll_back", self._roll_back, methods=["POST"]),
            Route("/releases", lambda _: HTMLResponse(render_releases_page(settings))),
            Route("/releases/{name}", self._release),
            Route("/quality", lambda _: HTMLResponse(render_quality_page(settings))),
            Route("/quality/{name}", lambda request: _page(render_table_page(request.path_params["name"], settings))),
            Route("/mlflow", lambda request: RedirectResponse(runs_url(self._settings_for(request)), 302)),
            Route("/livez", lambda _: Response()),
            Route(
                "/favicon.ico", lambda _: Response(status_code=204)
            ),  # browsers request it for reports without an icon
            Mount("/static", StaticFiles(directory=STATIC)),
            Mount("/reports", Reports(directory=settings.reports, check_dir=False)),
            Mount("/dbt/target", Reports(directory=settings.home / "dbt" / "target", check_dir=False)),
        ]
        nothing = partial(PlainTextResponse, NOTHING_HERE, 404)
        middleware = [Middleware(BaseHTTPMiddleware, dispatch=self._respond)]
        self.app = Starlette(routes=routes, middleware=middleware, exception_handlers={404: lambda *_: nothing()})

    async def _respond(self, request: Request, respond: RequestResponseEndpoint) -> Response:
        """Check a request, and add the headers of every response, also of files and errors."""
        try:
            response = self._reject(request) or await respond(request)
        except Exception as error:  # such as from a damaged file
            traceback.print_exc()
            why = f"The page cannot be made ({type(error).__name__}: {error}); the log of the console has the details"
            response = PlainTextResponse(why, 500)
        is_dbt = request.scope["path"].startswith(DBT_DOCS)
        response.headers["Content-Security-Policy"] = DBT_DOCS_POLICY if is_dbt else PAGE_POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["X-Frame-Options"] = "DENY"
        return response

    def _reject(self, request: Request) -> Response | None:
        """The error for a foreign name or a client without the password; None if the request is accepted."""
        # A site could point its name at this machine and read the pages as its own (DNS rebinding).
        if is_loopback(self._settings.host) and not is_loopback_authority(request.headers.get("Host", "")):
            why = "On a loopback address the console answers to localhost and 127.0.0.1 only"
            return PlainTextResponse(why, 403)
        if not self._password or request.scope["path"] == "/livez":
            return None
        address = request.client.host if request.client else ""
        status, headers = self._password.check(request.headers.get("Authorization", ""), address)
        if status == 200:
            return None
        why = "a password is required; the user is segue, see SEGUE_OPERATOR_PASSWORD"
        if status == 429:
            why = f"too many wrong passwords from this address; retry in {headers['Retry-After']} s"
        return PlainTextResponse(why, status, headers)

    def _now(self, request: Request) -> Response:
        client = self._settings_for(request)
        return HTMLResponse(render_now_page(self._settings, client, self._sampler, bool(self._password)))

    def _release(self, request: Request) -> Response:
        other = request.query_params.get("other", "")
        return _page(render_release(request.path_params["name"], other, self._settings_for(request)))

    async def _roll_back(self, request: Request) -> Response:
        """Return to the previous release, and respond with the result."""
        # A browser sends the password with requests of other sites too (cross-site request forgery).
        origin = urlsplit(request.headers.get("Origin", "")).netloc
        if not origin or origin != request.headers.get("Host", ""):
            raise HTTPException(403, "Actions are accepted from the pages of this console only")
        if not self._password:
            raise HTTPException(403, "Actions need an operator's password: set SEGUE_OPERATOR_PASSWORD")
        length = request.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_FORM_BYTES:
            raise HTTPException(413, f"A form has at most {MAX_FORM_BYTES} bytes, and a Content-Length")
        values = dict(parse_qsl((await request.body()).decode("utf-8", errors="replace")))
        address = request.client.host if request.client else ""
        try:
            outcome = await run_in_threadpool(roll_back, values.get("active"), address, self._settings)
        except InvalidActionError as error:
            raise HTTPException(400, str(error)) from error
        except OSError as error:  # the record comes first, so nothing was done
            why = f"The action cannot be recorded ({error}); use the DAG set_release instead"
            raise HTTPException(500, why) from error
        return HTMLResponse(await run_in_threadpool(self._render_roll_back, outcome))

    def _render_roll_back(self, outcome: Outcome | None = None) -> str:
        return render(
            "roll_back.html",
            active=active_release(self._settings),
            can_act=bool(self._password),
            previous=find_previous(list_releases(self._settings), self._settings),
            command=command_line(self._settings, "rollback"),
            outcome=outcome,
            actions=read_actions(self._settings),
        )

    def _settings_for(self, request: Request) -> Settings:
        """Settings with the host that the client used: in a container the server listens on 0.0.0.0."""
        name = re.sub(r":\d*$", "", request.headers.get("Host", ""))
        return self._settings.model_copy(update={"host": name}) if name else self._settings


def _page(page: str | None) -> Response:
    if page is None:
        raise HTTPException(404)
    return HTMLResponse(page)


@report_errors(SettingError, code=1)
def main() -> int:
    """Serve until the process is stopped."""
    settings = load_settings()
    check_bind_address(settings, "pages")
    sampler = MetricsSampler(settings)
    console = Console(settings, OperatorPassword(load_operator_password()), sampler)
    PeriodicTask("metrics-sampler", INTERVAL_S, sampler.sample).start()
    # httptools, the default parser, buffers headers without end. A header X-Forwarded-For must not choose the address whose guesses
    # of the password are counted.
    uvicorn.run(console.app, host=settings.host, port=settings.console_port, http="h11", ws="none", proxy_headers=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
