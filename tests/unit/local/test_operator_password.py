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
from local import mlflow_server
from local.wrappers import mlflow_app
from local.wrappers.mlflow_app import PasswordRequired
from web.basic_authentication import CHALLENGE, is_operator

PASSWORD = "p:ä" * 6


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_user_and_password_are_accepted() -> None:
    assert is_operator(basic("segue", PASSWORD), PASSWORD)
    assert is_operator(basic("segue", PASSWORD).replace("Basic ", "basic  "), PASSWORD)


@pytest.mark.parametrize(
    "wrong",
    [
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
    ],
)
def test_other_headers_are_rejected(wrong: str) -> None:
    assert not is_operator(wrong, PASSWORD)


def test_mlflow_requires_the_password_except_for_health_checks() -> None:
    def respond(request):
        return PlainTextResponse("ok")

    paths = ["/", "/health", "/health/", "/api/2.0/mlflow/experiments/search"]
    app = Starlette(routes=[Route(path, respond, methods=["GET", "POST"]) for path in paths])
    client = TestClient(PasswordRequired(app, PASSWORD))
    allowed = {"Authorization": basic("segue", PASSWORD)}
    assert client.get("/health").text == "ok"
    for path in (paths[0], *paths[2:], "//health"):
        denied = client.post(path)
        assert (denied.status_code, denied.headers["www-authenticate"], denied.text) == (401, CHALLENGE, "")
        assert client.get(path, headers={"Authorization": basic("segue", "x")}).status_code == 401
    assert client.post(paths[3], headers=allowed).text == "ok"
    assert client.get("/", headers=[("Authorization", allowed["Authorization"])] * 2).status_code == 401


def test_mlflow_is_started_with_the_app_of_the_project_if_there_is_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    here = settings.load_settings()
    assert "--app-name" not in mlflow_server.command(here)
    monkeypatch.setenv("SEGUE_OPERATOR_PASSWORD", PASSWORD)
    name = mlflow_server.command(here)[-1]
    apps = tomllib.loads((settings.ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["mlflow.app"]
    module, _, function = apps[name].partition(":")
    assert getattr(importlib.import_module(module), function) is mlflow_app.create_app
