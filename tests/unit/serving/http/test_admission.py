"""Admission control over ASGI: concurrent, queued and rejected requests."""

import asyncio
import json

import pytest

from serving.http.admission import Admission, RequestQueue
from tests.support.serving.asgi_call import call, respond

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


class House:
    """An app behind admission control whose requests block until released."""

    def __init__(self, client_requests=100):
        self.refused, self.begun, self.go = [], [], {}
        queues = [RequestQueue(("/recommend", "/similar"), 2, 1), RequestQueue(("/events",), 1, 0)]
        self.admission = Admission(self.app, queues, client_requests, self.refused.append)

    async def app(self, scope, receive, send):
        self.begun.append(scope["name"])
        await self.go.setdefault(scope["name"], asyncio.Event()).wait()
        if scope.get("is_failing"):
            raise RuntimeError("the app fails")
        await respond(send)

    def ask(self, name, path="/recommend", method="POST", scope_type="http", **more):
        scope = {"type": scope_type, "method": method, "path": path, "name": name, **more}
        return asyncio.create_task(call(self.admission, scope))

    def let_go(self, name):
        self.go.setdefault(name, asyncio.Event()).set()


async def run_pending_tasks():
    for _ in range(20):
        await asyncio.sleep(0)


async def test_request_beyond_capacity_is_rejected_immediately():
    house = House()
    inside = [house.ask("a"), house.ask("b", path="/similar"), house.ask("c")]
    await run_pending_tasks()
    status, headers, body = await house.ask("d")
    assert (status, headers[b"retry-after"]) == (503, b"1")
    assert json.loads(body)["error"] == "3 requests are in progress or queued; retry in 1 s"
    assert (house.begun, house.refused) == (["a", "b"], ["/recommend"])
    house.let_go("b")
    await run_pending_tasks()
    assert house.begun == ["a", "b", "c"] and inside[1].done() and not inside[0].done()
    house.let_go("a"), house.let_go("c"), house.let_go("e")
    assert (await house.ask("e"))[0] == 200
    assert [(await one)[0] for one in inside] == [200, 200, 200]
    assert house.refused == ["/recommend"]


async def test_one_client_cannot_take_every_place():
    house = House(client_requests=2)
    mine, other = {"state": {"client": "mine"}}, {"client": ("10.0.0.2", 5)}
    inside = [house.ask("a", **mine), house.ask("b", path="/events", **mine)]
    await run_pending_tasks()
    status, headers, body = await house.ask("c", **mine)
    assert (status, headers[b"retry-after"]) == (429, b"1")
    assert "2 requests of this client" in json.loads(body)["error"]
    inside.append(house.ask("d", **other))
    await run_pending_tasks()
    assert (house.begun, house.refused) == (["a", "b", "d"], ["/recommend"])
    for name in "abde":
        house.let_go(name)
    assert [(await one)[0] for one in inside] == [200, 200, 200]
    assert (await house.ask("e", **mine))[0] == 200
    assert house.admission._in_flight == {}


async def test_other_paths_methods_and_connections_are_not_queued():
    house = House()
    for name in "abc":
        house.ask(name)
    others = [house.ask("events", path="/events"), house.ask("ready", path="/readyz")]
    others += [house.ask("get", method="GET"), house.ask("life", scope_type="lifespan")]
    await run_pending_tasks()
    assert house.begun == ["a", "b", "events", "ready", "get", "life"] and house.refused == []
    for name in ("a", "b", "c", "events", "ready", "get", "life"):
        house.let_go(name)
    await asyncio.gather(*others)


async def test_failing_request_releases_its_slot():
    house = House()
    for number in range(5):
        failing = house.ask(f"f{number}", path="/events", is_failing=True)
        house.let_go(f"f{number}")
        assert (await failing)[0] == 500
    assert house.refused == []
