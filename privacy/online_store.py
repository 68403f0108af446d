"""`python -m privacy.online_store`: users leave the online stores, the record of what was materialised and the feature log.

A step of `python -m privacy.erase`, which says in what order it is safe: their rows have left the marts by then, so that
no materialisation brings them back. Reads a JSON list of user ids, prints {place: {user: how many}}.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import feast
from feast.infra.key_encoding_utils import serialize_entity_key

from config import settings
from privacy import broker, json_lines, sqlite
from privacy.broker import SuppressionListNotApplied
from privacy.sqlite import FileBusy
from sequences.feast_store import open_store
from sequences.online.materialization_state import digests_file, materialization_lock
from sequences.online.row import user_key
from sequences.skew.request_log import REQUEST_LOG_PREFIX

ErasureCounts = dict[str, Counter[str]]


class StoreUnavailable(RuntimeError):
    """The online store does not answer; the message names the remedy."""


def erase_users(user_ids: Sequence[str], here: settings.Settings) -> ErasureCounts:
    """Erase the users everywhere that is Feast's or a record of it; what was erased, place by place.

    Raises:
        FileBusy: a SQLite file is in use all the time.
        StoreAway: Redis does not answer.
        NotTakenUp: a consumer of the broker does not know yet who was forgotten.
    """
    return {
        # First: what waits there would be applied behind our back.
        **({"broker": _erase_broker(user_ids, here)} if here.broker else {}),
        "online store (SQLite)": _erase_sqlite(user_ids, here.feast / "online.db"),
        **({"online store (Redis)": _erase_redis(user_ids, here)} if here.online_store == "redis" else {}),
        "materialised digests": _erase_digests(user_ids, here.feast),
        "feature log": _erase_feature_log(user_ids, here),
    }


def _erase_broker(user_ids: Sequence[str], here: settings.Settings) -> Counter[str]:
    from redis.exceptions import RedisError

    try:
        return broker.erase_users(user_ids, here)
    except RedisError as error:
        raise StoreUnavailable(f"the broker does not answer ({error}); start it and run this again") from error


def _erase_sqlite(user_ids: Sequence[str], path: Path) -> Counter[str]:
    with materialization_lock(digests_file(path.parent, "sqlite")):
        return sqlite.erase(path, "entity_key", {user: _entity_key(user) for user in user_ids})


def _erase_redis(user_ids: Sequence[str], here: settings.Settings) -> Counter[str]:
    store = open_store()
    with materialization_lock(digests_file(here.feast, "redis")):
        return erase_redis_hashes(store, user_ids)


def erase_redis_hashes(store: feast.FeatureStore, user_ids: Sequence[str]) -> Counter[str]:
    """Delete what Feast's Redis store has of the users, a hash each, and every view is in it.

    Raises:
        StoreAway: it does not answer.
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
        raise StoreUnavailable(f"the online store does not answer ({error}); start it and run this again") from error
    return +erased


def _entity_key(user_id: str) -> bytes:
    version = 3  # as feature_repo/feature_store.yaml has it
    return serialize_entity_key(user_key(user_id), entity_key_serialization_version=version)


def _erase_digests(user_ids: Sequence[str], folder: Path) -> Counter[str]:
    erased: Counter[str] = Counter()
    for kind in settings.ONLINE_STORES:
        path = digests_file(folder, kind)
        with materialization_lock(path):
            erased += sqlite.erase(path, "user_id", {user: user for user in user_ids})
    return erased


def _erase_feature_log(user_ids: Sequence[str], here: settings.Settings) -> Counter[str]:
    """The users' requests; the report of the comparison loses its examples, for one of them may be theirs."""
    erased: Counter[str] = Counter()
    report = here.reports / "skew.json"
    if report.exists():
        draft = report.with_suffix(".partial")
        draft.write_text(json.dumps(json.loads(report.read_text()) | {"examples": []}, indent=2) + "\n")
        draft.replace(report)
    for path in sorted(here.request_log.glob(f"dt=*/{REQUEST_LOG_PREFIX}-*.jsonl")):
        erased += json_lines.erase(path, user_ids)
    return erased


def main() -> int:
    """The command."""
    try:
        counts = erase_users(json.load(sys.stdin), settings.load_settings())
    except (FileBusy, StoreUnavailable, SuppressionListNotApplied) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(counts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
