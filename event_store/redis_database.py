"""One Redis server as the database of several machines: scripts that run as transactions, tables of numbered rows with a list
per user, and erasure from the append-only file.

Every connection begins with a check of the server's settings, and gives the data a new id if the server is another one than before:
after a failover it may lack the last rows, and after a restart it cannot tell whether it does. A cluster cannot run the scripts.
"""

from __future__ import annotations

import json
import secrets
import time
import uuid
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from event_store.redis_scripts import ERASE, OPEN, READ, READ_LIST, REMOVE
from event_store.store import KEY_BYTES, ErasureUnfinished, Position, StoreUnavailable
from storage.suppression_list import SuppressionList

TIMEOUT_S = 2.0
PAUSE_AFTER_TIMEOUT_S = 1.0
"""Time for which calls fail at once after one has timed out, so that a request does not wait for several."""
ERASURE_TIMEOUT_S = 600.0
REWRITE_PAUSE_S = 0.02
ROWS_PER_CALL = 1000
REQUIRED = {
    "appendonly": "yes",
    "appendfsync": "always",
    "maxmemory-policy": "noeviction",
    "cluster-enabled": "no",
    "save": "",  # a snapshot would keep erased users
}
"""Settings of the server without which it would lose events, or keep erased users."""
REMEDY = "start the Redis server of SEGUE_EVENT_STORE, or give it more memory or disk"
FACTS, SUPPRESSED = "segue:facts", "segue:suppressed"


def user_key(kind: str, user_id: str) -> str:
    """Key of what is stored of a user."""
    return f"segue:{kind}:of:{user_id}"


@dataclass(frozen=True)
class Facts:
    """What every process knows of the data."""

    id: str
    key: bytes  # of the hashes of events' ids
    salt: str  # of the suppression list, hexadecimal; empty before the first

    def code(self, user_id: str) -> str:
        """The hash of a user in the suppression list."""
        return SuppressionList(bytes.fromhex(self.salt)).code(user_id) if self.salt else ""


class RedisDatabase:
    """Connections to one server, made when they are needed.

    Args:
        url: `redis://host:port/db`, with a password if the server needs one.
        table: Table of the numbered rows.
        kinds: Kinds of keys of users.
    """

    def __init__(self, url: str, table: str, kinds: Collection[str]) -> None:
        self._table, self._kinds = table, kinds
        self._client: Any = Redis.from_url(
            url,
            protocol=2,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            redis_connect_func=self._check,
        )
        self._scripts: dict[str, Any] = {}
        self._facts: Facts | None = None
        self._paused_until = 0.0

    @property
    def facts(self) -> Facts:
        """The facts, as this process has read them; a script that finds others must say so, see `read_facts`."""
        return self._facts or self.read_facts()

    def read_facts(self) -> Facts:
        """Read the facts; the id is new after the creation, a start of the server and a failover."""
        found = self.call(OPEN, uuid.uuid4().hex, secrets.token_bytes(KEY_BYTES))
        self._facts = facts = Facts(found[0].decode(), found[1], found[2].decode())
        return facts

    @property
    def id(self) -> str:
        """Id of the data."""
        return self.read_facts().id

    def call(self, text: str, *arguments: Any) -> Any:
        """Run a script.

        Raises:
            StoreUnavailable: It failed; nothing is written, unless the server did not answer in time.
        """
        if text not in self._scripts:
            self._scripts[text] = self._client.register_script(text)
        with self.available():
            return self._scripts[text](args=arguments)

    def call_for(self, user_id: str, text: str, *arguments: Any) -> Any:
        """Run a script that begins with `refusal` of a user."""
        while True:
            facts = self.facts
            found = self.call(text, facts.salt, facts.code(user_id), *arguments)
            if found != b"salt":
                return found
            self.read_facts()

    def run(self, *command: Any) -> Any:
        """Run a command.

        Raises:
            StoreUnavailable: It failed.
        """
        with self.available() as client:
            return client.execute_command(*command)

    @contextmanager
    def available(self) -> Iterator[Any]:
        """The client.

        Raises:
            StoreUnavailable: A command failed.
        """
        if time.monotonic() < self._paused_until:
            raise StoreUnavailable(f"the event store has not answered a moment ago; {REMEDY}")
        try:
            yield self._client
        except RedisError as error:
            if isinstance(error, RedisTimeoutError):
                self._paused_until = time.monotonic() + PAUSE_AFTER_TIMEOUT_S
            raise StoreUnavailable(f"the event store cannot be read or written: {error}; {REMEDY}") from error

    def read(self, after: Position | None, limit: int) -> list[tuple[int, dict[str, Any]]]:
        """See `Store.read`: reads in calls that do not keep the server from others for long."""
        found: list[tuple[int, dict[str, Any]]] = []
        place = _place(after)
        while len(found) < limit:
            store, rows = self._rows(READ, self._table, *place, min(ROWS_PER_CALL, limit - len(found)))
            if store != place[0]:  # the server was started again meanwhile, and the rows are those from the start
                found = []
            if not rows:
                break
            found += rows
            place = (store, rows[-1][0])
        return found

    def read_list(self, key: str, after: Position | None = None) -> tuple[str, list[tuple[int, dict[str, Any]]]]:
        """The id of the data, and the rows of a user's list with their numbers."""
        return self._rows(READ_LIST, self._table, key, *_place(after))

    def _rows(self, text: str, *arguments: Any) -> tuple[str, list[tuple[int, dict[str, Any]]]]:
        store, found = self.call(text, *arguments)
        return store.decode(), [(int(seq), json.loads(row)) for seq, row in zip(found[::2], found[1::2], strict=True)]

    def remove_rows(self, through: Position, received_before_us: int | None = None) -> int:
        """Remove rows up to a position that were received before a time; return their number."""
        removed, left = 0, 1
        while left > 0:
            count, left = self.call(REMOVE, self._table, *_place(through), received_before_us or "")
            removed += count
        return removed

    def renew_id(self) -> None:
        """See `Store.renew_id`."""
        self.run("hset", FACTS, "id", uuid.uuid4().hex)

    def suppress(self, users: SuppressionList) -> None:
        """See `Store.suppress`: later scripts check this copy of the list."""
        with self.available() as client, client.pipeline() as transaction:
            transaction.delete(SUPPRESSED)
            if users.hashes:
                transaction.sadd(SUPPRESSED, *users.hashes)
            transaction.hset(FACTS, "salt", users.salt.hex())
            transaction.execute()

    def users(self) -> set[str]:
        """See `Store.users`."""
        with self.available() as client:
            return {
                key.decode().split(":", 3)[3]
                for kind in self._kinds
                for key in client.scan_iter(match=user_key(kind, "*"), count=ROWS_PER_CALL)
            }

    def erase(self, user_ids: Collection[str]) -> Counter[str]:
        """See `Store.erase`: deletes the keys of the users, of lists also the rows of the table, and their bytes on the disk.

        Raises:
            ErasureUnfinished: The append-only file could not be rewritten.
        """
        erased = Counter[str]()
        for user in user_ids:
            erased[user] += self.call(ERASE, self._table, *(user_key(kind, user) for kind in self._kinds))
        self._rewrite_file()
        return +erased

    def _rewrite_file(self) -> None:
        until, is_started = time.monotonic() + ERASURE_TIMEOUT_S, False
        while True:
            with self.available() as client:
                found = client.info("persistence")
                is_busy = found["aof_rewrite_in_progress"] or found["aof_rewrite_scheduled"]
                if not is_busy and is_started:
                    break
                if not is_busy:
                    with suppress(ResponseError):  # another one has begun
                        client.bgrewriteaof()
                        is_started = True
            if time.monotonic() > until:
                raise ErasureUnfinished("Redis still rewrites its append-only file; erase again when it has")
            time.sleep(REWRITE_PAUSE_S)
        if found["aof_last_bgrewrite_status"] != "ok":
            raise ErasureUnfinished(
                "erased rows are still in the append-only file, which Redis could not rewrite; give it more disk and memory, "
                "and erase again"
            )

    def close(self) -> None:
        """See `Store.close`."""
        self._client.close()

    def _check(self, connection: Any) -> None:
        """Prepare a new connection: check the settings, and notice another server."""
        connection.on_connect()
        connection.send_command("config", "get", *REQUIRED)
        found = [text.decode() for text in connection.read_response()]
        settings = dict(zip(found[::2], found[1::2], strict=True))
        for name, value in REQUIRED.items():
            if settings.get(name) != value:
                raise RedisError(
                    f"the server has {name} {settings.get(name)!r}; set {name} to {value!r} in its configuration, and give events "
                    "a server of their own"
                )
        connection.send_command("eval", OPEN, 0, uuid.uuid4().hex, secrets.token_bytes(KEY_BYTES))
        connection.read_response()


def _place(position: Position | None) -> tuple[str, int]:
    return (position.store, position.seq) if position is not None else ("", 0)
