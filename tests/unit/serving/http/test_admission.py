"""Admission control over ASGI: concurrent, queued and rejected requests."""

import asyncio
import json

import pytest

from serving.http.admission import Admission, RequestQueue
from tests.support.serving.asgi_call import call, respond

pytestmark = pytest.mark.anyio
NAMED = {"state": {"client": "a key"}}


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

    async def ask(self, name, path="/recommend", method="POST", **more):
        task = asyncio.create_task(call(self.admission, {"method": method, "path": path, "name": name, **more}))
        for _ in range(20):
            await asyncio.sleep(0)
        return task

    async def let_go(self, name):
        self.go.setdefault(name, asyncio.Event()).set()
        for _ in range(20):
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("client_requests", "asked", "begun", "rejected"),
    [
        pytest.param(
            100,
            {"a": {}, "b": {"path": "/similar"}, "c": {}, "d": {}},
            "ab",
            {"d": (503, "3 requests are in progress or queued; retry in 1 s")},
            id="a full queue",
        ),
        pytest.param(
            2,
            {"a": NAMED, "b": {"path": "/events"} | NAMED, "c": NAMED, "d": {"client": ("10.0.0.1", 5)}},
            "abd",
            {"c": (429, "2 requests of this client are in progress or queued; retry in 1 s")},
            id="one client cannot take every place",
        ),
        pytest.param(
            100,
            {"a": {}, "b": {}, "c": {}, "d": {"path": "/events"}, "e": {"path": "/readyz"}, "f": {"method": "GET"}}
            | {"g": {"type": "lifespan"}},
            "abdefg",
            {},
            id="other paths, methods and connections are not queued",
        ),
    ],
)
async def test_requests_run_wait_or_are_rejected_at_once(client_requests, asked, begun, rejected):
    house = House(client_requests)
    tasks = {name: await house.ask(name, **scope) for name, scope in asked.items()}
    assert house.begun == [*begun]
    answers = {name: task.result() for name, task in tasks.items() if task.done()}
    assert {name: (status, json.loads(body)["error"]) for name, (status, _, body) in answers.items()} == rejected
    assert all(headers[b"retry-after"] == b"1" for _, headers, _ in answers.values())
    assert house.refused == [asked[name].get("path", "/recommend") for name in rejected]
    for name in asked:
        await house.let_go(name)
    assert {name for name, task in tasks.items() if (await task)[0] == 200} == {*asked} - {*rejected}
    assert house.admission._in_flight == {}


async def test_a_waiting_request_begins_when_another_ends():
    house = House()
    first, second, third = [await house.ask(name) for name in "abc"]
    await house.let_go("b")
    assert house.begun == ["a", "b", "c"] and second.done() and not first.done() and not third.done()


async def test_failing_request_releases_its_slot():
    house = House()
    for number in range(5):
        failing = await house.ask(f"f{number}", path="/events", is_failing=True)
        await house.let_go(f"f{number}")
        assert (await failing)[0] == 500
    assert house.refused == []
