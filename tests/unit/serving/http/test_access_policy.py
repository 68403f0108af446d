"""Access control over ASGI: keys, addresses, and token buckets against a slow oracle."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.http.access_policy import AccessControl, AccessPolicy, ApiKeys, load_rate_limit
from tests.support.serving.asgi_call import call, respond
from web.rate_limit import BURST_S, RateLimit

KEY, OTHER = "k" * 20, "o" * 20


class House:
    """An app behind access control; `ask` returns status, headers and body."""

    def __init__(self, keys=(), per_s=0, now_s=lambda: 0.0, origins=(), tokens=None):
        self.away, self.came = [], []
        door = AccessPolicy(ApiKeys(keys), RateLimit(per_s, clock_s=now_s) if per_s else None, origins, tokens)
        self.clients = AccessControl(self.app, door, self.away.append)

    async def app(self, scope, receive, send):
        self.came.append(scope.get("path"))
        await respond(send)

    def ask(
        self,
        path="/recommend",
        method="POST",
        key=None,
        server=("127.0.0.1", 3000),
        client=("10.0.0.1", 5),
        headers=((b"host", b"localhost:3000"),),
        query=b"",
    ):
        headers = [*headers, *([] if key is None else [(b"authorization", key)])]
        scope = {"method": method, "path": path, "query_string": query, "headers": headers}
        return asyncio.run(call(self.clients, scope | {"server": server, "client": client}))


LOCAL = (b"host", b"localhost:3000")
BEARER = (b"authorization", f"Bearer {KEY}".encode())


def origin(*pages, host=b"localhost:3000"):
    """Headers of a request of these pages."""
    return [(b"host", host), *((b"origin", page) for page in pages)]


@pytest.mark.parametrize(
    ("house", "request_options"),
    [
        *(
            ({}, {"server": server})
            for server in (("127.0.0.1", 3000), ("::1", 3000), ("127.8.8.8", 1), ("/run/segue.sock", None), None)
        ),
        *(
            ({}, {"headers": [(b"host", host)]})
            for host in (b"localhost:3000", b"LOCALHOST", b"127.0.0.1:3000", b"127.8.8.8", b"[::1]:3000", b"[::1]")
        ),
        *(
            ({}, {"headers": origin(b"http://" + host, host=host)})
            for host in (b"localhost:3000", b"127.0.0.1:3000", b"[::1]:3000")
        ),
        *(({}, {"headers": [LOCAL, (b"sec-fetch-site", site)]}) for site in (b"same-origin", b"none")),
        *(
            ({}, {"headers": [LOCAL, (b"sec-fetch-site", site)], "method": "GET"})
            for site in (b"cross-site", b"same-site")
        ),
        ({"origins": ("https://music.example",)}, {"headers": origin(b"https://music.example")}),
        ({"keys": [KEY]}, {"headers": [(b"host", b"music.example"), BEARER]}),
    ],
)
def test_requests_of_this_machine_of_own_pages_and_with_keys_are_answered(house, request_options):
    assert House(**house).ask("/", **request_options)[0] == 200


@pytest.mark.parametrize(
    ("reason", "remedy", "request_options"),
    [
        *(
            ("not_local", "SEGUE_API_KEYS", {"server": server})
            for server in (("10.0.0.7", 3000), ("::ffff:10.0.0.7", 3000), ("0.0.0.0", 3000), ("testserver", 80))
        ),
        *(
            ("foreign_host", "header Host is", {"headers": [(b"host", host) for host in hosts]})
            for hosts in (
                [b"evil.example:3000"],
                [b"localhost.evil.example"],
                [b"127.0.0.1.evil.example"],
                [b"127.0.0.1@evil.example"],
                [b"10.0.0.7:3000"],
                [b"[::1"],
                [b"::1"],
                [b"\xff"],
                [b""],
                [],
                [b"localhost", b"evil.example"],
            )
        ),
        *(
            ("foreign_origin", "SEGUE_ALLOWED_ORIGINS", {"headers": origin(*pages)})
            for pages in (
                [b"https://evil.example"],
                [b"http://localhost:8090"],
                [b"http://127.0.0.1:3000"],
                [b"null"],
                [b""],
                [b"http://[::1"],
                [b"http://localhost:3000", b"https://evil.example"],
                [b"http://music.example"],
            )
        ),
        *(
            ("foreign_origin", "SEGUE_ALLOWED_ORIGINS", {"headers": [LOCAL, (b"sec-fetch-site", site)]})
            for site in (b"cross-site", b"same-site")
        ),
    ],
)
@pytest.mark.parametrize("path", ["/events", "/listener", "/", "/metrics"])
def test_without_keys_other_machines_hosts_and_pages_are_rejected(reason, remedy, request_options, path):
    house = House(origins=("https://music.example",))
    status, _, body = house.ask(path, **request_options)
    assert (status, house.came, house.away) == (403, [], [reason])
    assert remedy in json.loads(body)["error"]


@pytest.mark.parametrize(
    "path",
    [
        "/livez",
        "/readyz",
        "/metrics",
        "/",
        "/docs",
        "/page/app.js",
        "/docs.json",
        "/openapi.json",
        "/static_content/swagger-ui.css",
    ],
)
def test_public_paths_need_no_key_for_reads_only(path):
    house = House([KEY])
    assert house.ask(path, "GET", server=("10.0.0.7", 3000))[0] == 200
    assert house.ask(path, "HEAD")[0] == 200
    assert house.ask(path, "POST")[0] == 401


@pytest.mark.parametrize(
    "path", ["/recommend", "/similar", "/events", "/schema.json", "/nowhere", "/livez/", "/media/preview/t1"]
)
@pytest.mark.parametrize(
    "shown",
    [None, b"", b"Bearer", f"Basic {KEY}".encode(), KEY.encode(), f"Bearer {KEY}x".encode(), b"Bearer \xff\xe9"],
)
def test_other_paths_reject_missing_and_wrong_keys(path, shown):
    house = House([KEY])
    status, headers, body = house.ask(path, "GET", key=shown)
    assert (status, headers[b"www-authenticate"], house.came) == (401, b"Bearer", [])
    assert "Authorization: Bearer" in json.loads(body)["error"] and KEY not in body.decode()


def test_rate_limit_per_key_and_address_with_retry_after():
    now = [0.0]
    house = House([KEY, OTHER], per_s=2, now_s=lambda: now[0])
    mine, others = f"Bearer {KEY}".encode(), f"Bearer {OTHER}".encode()
    assert [house.ask(key=mine)[0] for _ in range(5)] == [200] * 4 + [429]
    assert house.ask(key=mine)[1][b"retry-after"] == b"1"
    assert house.ask(key=others)[0] == 200
    assert [house.ask(key=b"Bearer guess")[0] for _ in range(5)] == [401] * 4 + [429]
    assert house.ask(key=b"Bearer guess", client=("10.0.0.2", 5))[0] == 401
    assert house.ask("/livez", "GET")[0] == 200
    now[0] = 0.5
    assert [house.ask(key=mine)[0] for _ in range(2)] == [200, 429]
    assert house.away.count("too_often") == 4 and house.away.count("no_key") == 5


@given(st.floats(0.1, 50), st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 3)), max_size=60))
def test_token_bucket_matches_oracle(per_s, story):
    """Compared with a bucket refilled in small steps; a client that waits for Retry-After is accepted."""
    now = [0.0]
    limit, tokens, at = RateLimit(per_s, clock_s=lambda: now[0]), {}, {}
    full = max(1.0, per_s * BURST_S)
    for client, later in story:
        now[0] += later
        has = min(full, tokens.get(client, full) + (now[0] - at.get(client, now[0])) * per_s)
        wait = limit.take(client)
        if abs(has - 1) > 1e-6:
            assert (wait == 0) == (has >= 1)
        tokens[client], at[client] = has - (wait == 0), now[0]
        if wait:
            assert has + wait * per_s >= 1 - 1e-6 > has + (wait - 1) * per_s - 1e-3


def test_bucket_count_is_bounded_with_lru_eviction():
    limit = RateLimit(1, max_clients=3, clock_s=lambda: 0.0)
    for client in "abcd":
        assert [limit.take(client) > 0 for _ in range(3)] == [False, False, True]
    assert len(limit) == 3
    assert limit.take("d") > 0 and limit.take("a") == 0


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("short", "has less than 16"),
        ("schlüssel-sehr-geheim", "has characters outside printable ASCII"),
        ("a-key\twith-a-tabulator", "has characters outside printable ASCII"),
    ],
)
def test_unusable_key_is_rejected_without_revealing_it(key, problem):
    with pytest.raises(ValueError, match=f"API key 2 of 2 {problem}") as error:
        ApiKeys([KEY, key])
    assert key not in str(error.value)
    assert KEY not in repr(vars(ApiKeys([KEY])))


def test_there_is_no_rate_limit_on_loopback():
    assert load_rate_limit() is None
