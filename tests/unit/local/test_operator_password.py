"""The operator's password: which headers are accepted, and which paths of MLflow need none."""

from __future__ import annotations

import base64
import importlib
import tomllib

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from config import settings
from local.wrappers import mlflow_app
from local.wrappers.mlflow_app import PasswordRequired
from web.basic_authentication import CHALLENGE, GUESSES, OperatorPassword
from web.rate_limit import RateLimit

PASSWORD = "p:ä" * 6


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (basic("segue", PASSWORD), (200, {})),
        (basic("segue", PASSWORD).replace("Basic ", "basic  "), (200, {})),
        *(
            (wrong, (401, {"WWW-Authenticate": CHALLENGE}))
            for wrong in (
                "",
                "Basic",
                "Basic ",
                "Basic é",
                PASSWORD,
                f"Bearer {PASSWORD}",
                basic("segue", PASSWORD).removeprefix("Basic "),
                basic("segue", PASSWORD).replace("Basic", "Bearer"),
                basic("segue", PASSWORD + "x"),
                basic("segue", ""),
                basic("admin", PASSWORD),
                basic("", f"segue:{PASSWORD}"),
            )
        ),
    ],
)
def test_user_and_password_are_accepted_and_nothing_else(header, expected) -> None:
    assert OperatorPassword(PASSWORD).check(header, "a") == expected


def test_an_address_with_many_wrong_passwords_must_wait() -> None:
    now = [0.0]
    password = OperatorPassword(PASSWORD, RateLimit(1 / 6, GUESSES, clock_s=lambda: now[0]))
    right, wrong = basic("segue", PASSWORD), basic("segue", "guess")
    assert [password.check(wrong, "a")[0] for _ in range(GUESSES + 1)] == [401] * GUESSES + [429]
    assert password.check(right, "a") == (429, {"Retry-After": "6"})
    assert (password.check("", "a")[0], password.check(right, "b")[0]) == (401, 200)
    now[0] = 6.0
    assert [password.check(one, "a")[0] for one in (right, right, wrong, right)] == [200, 200, 401, 429]


def test_mlflow_requires_the_password_except_for_health_checks() -> None:
    paths = ["/", "/health", "/health/", "/api/2.0/mlflow/experiments/search"]
    routes = [Route(path, lambda _: PlainTextResponse("ok"), methods=["GET", "POST"]) for path in paths]
    client = TestClient(PasswordRequired(Starlette(routes=routes), OperatorPassword(PASSWORD)))
    allowed = {"Authorization": basic("segue", PASSWORD)}
    assert client.get("/health").text == "ok"
    for path in (paths[0], *paths[2:], "//health"):
        denied = client.post(path)
        assert (denied.status_code, denied.headers["www-authenticate"], denied.text) == (401, CHALLENGE, "")
        assert client.get(path, headers={"Authorization": basic("segue", "x")}).status_code == 401
    assert client.post(paths[3], headers=allowed).text == "ok"
    assert client.get("/", headers=[("Authorization", allowed["Authorization"])] * 2).status_code == 401
    statuses = [client.get("/", headers={"Authorization": basic("segue", "x")}).status_code for _ in range(GUESSES)]
    assert statuses[-1] == 429


def test_mlflow_is_started_with_the_app_of_the_project_if_there_is_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    here = settings.load_settings()
    assert "--app-name" not in mlflow_app.command(here)
    monkeypatch.setenv("SEGUE_OPERATOR_PASSWORD", PASSWORD)
    name = mlflow_app.command(here)[-1]
    apps = tomllib.loads((settings.ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["mlflow.app"]
    module, _, function = apps[name].partition(":")
    assert getattr(importlib.import_module(module), function) is mlflow_app.create_app
