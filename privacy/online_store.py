"""Erasure of users from the online stores; of the SQLite file with free pages and the write-ahead log, while others use it.

Run it after the marts, so that no materialization restores the rows.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config import settings
from event_store.sqlite_database import tables_with
from privacy import ErasureError, UnreadableFile
from sequences.feast_store import open_store
from sequences.online.materialization_state import materialization_lock
from sequences.online.online_stores import user_key

if TYPE_CHECKING:
    from feast import FeatureStore

ENTITY_KEY_VERSION = 3
"""`entity_key_serialization_version` of feature_repo/feature_store.yaml."""


class StoreUnavailable(ErasureError):
    """The online store does not respond."""


def erase_users(user_ids: Sequence[str], here: settings.Settings) -> dict[str, Counter[str]]:
    """Erase the users from the online stores; returns store ▸ number of rows per user.

    Raises:
        FileBusy: A SQLite file is locked by other processes.
        StoreUnavailable: Redis does not respond.
    """
    keys = {user: _entity_key(user) for user in user_ids}
    with materialization_lock(here.feast, "sqlite"):
        erased = {"online store (SQLite)": erase_rows(here.feast / "online.db", "entity_key", keys)}
    if here.online_store == "redis":
        store = open_store()
        with materialization_lock(here.feast, "redis"):
            erased["online store (Redis)"] = erase_redis_hashes(store, user_ids)
    return erased


def sqlite_users(here: settings.Settings) -> set[str]:
    """Everyone with a row in the SQLite store; empty without its file.

    Raises:
        FileBusy, UnreadableFile: The file is locked or damaged.
    """
    path, begin = here.feast / "online.db", len(_entity_key(""))
    if not path.exists():
        return set()
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            tables = tables_with(database, "entity_key")
            rows = (database.execute(f'select distinct entity_key from "{table}"') for table in tables)  # noqa: S608
            return {key[begin:].decode() for found in rows for (key,) in found}
    except sqlite3.DatabaseError as error:
        raise readable_error(path, error) from error


def erase_redis_hashes(store: FeatureStore, user_ids: Sequence[str]) -> Counter[str]:
    """Delete the users' hashes in Feast's Redis store (one per user, with all views); returns the fields per user.

    Raises:
        StoreUnavailable: Redis does not respond.
    """
    from redis.exceptions import RedisError

    online: Any = store._get_provider().online_store
    names = online._generate_redis_keys_for_entities(store.config, [user_key(user) for user in user_ids])
    erased: Counter[str] = Counter()
    try:
        client = online._get_client(store.config.online_store)
        for user, name in zip(user_ids, names, strict=True):
            erased[user] += client.hlen(name)
            client.delete(name)
    except RedisError as error:
        raise StoreUnavailable(f"the online store does not respond ({error}); start it and run this again") from error
    return +erased


def _entity_key(user_id: str) -> bytes:
    from feast.infra.key_encoding_utils import serialize_entity_key

    return serialize_entity_key(user_key(user_id), entity_key_serialization_version=ENTITY_KEY_VERSION)


WAIT_S = 60.0
DAMAGED_REMEDY = "stop the recommender, delete the file and materialize again (python -m sequences.online.materialize --as-of DAY --force)"


class FileBusy(ErasureError):
    """Other processes keep the file locked; the message names it and the remedy."""


def erase_rows(path: Path, column: str, keys: Mapping[str, str | bytes], wait_s: float = WAIT_S) -> Counter[str]:
    """Delete the users' rows from every table with the column; returns the number of rows per user.

    The file is then rewritten (VACUUM), because free pages may contain deleted rows, and the write-ahead log is truncated.
    Other writers wait meanwhile.

    Args:
        path: The file; it may be missing.
        column: Key column.
        keys: user ▸ value of the key column.
        wait_s: Maximum time to wait for locks, seconds.

    Raises:
        FileBusy: Other processes keep the file locked for longer than `wait_s`.
        UnreadableFile: The file is damaged.
    """
    erased: Counter[str] = Counter()
    if not path.exists():
        return erased
    connection = sqlite3.connect(path, timeout=wait_s, isolation_level=None)
    try:
        connection.execute("pragma secure_delete = on")
        for table in tables_with(connection, column):
            for user_id, key in keys.items():
                deleted = connection.execute(f'delete from "{table}" where "{column}" = ?', (key,))  # noqa: S608
                erased[user_id] += deleted.rowcount
        connection.execute("vacuum")
        (is_busy, *_), *_ = connection.execute("pragma wal_checkpoint(truncate)").fetchall()  # waits for readers, too
        if is_busy:
            raise FileBusy(f"{path}-wal cannot be truncated because it is being read; run this again in a moment")
    except sqlite3.DatabaseError as error:
        raise readable_error(path, error) from error
    finally:
        connection.close()
    return +erased


def readable_error(path: Path, error: sqlite3.DatabaseError) -> ErasureError:
    """The error of a file that is locked or damaged, with the remedy."""
    if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
        return FileBusy(f"{path} is in use ({error}); run this again in a moment")
    return UnreadableFile(f"{path} cannot be read ({error}); {DAMAGED_REMEDY}, then run this again")
