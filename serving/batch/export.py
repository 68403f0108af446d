"""Export of a batch run: the list of a scene for every user, in parts that fit into memory, and the vectors of users and items.

Lists come from the pipeline of the service with the time at which the run began, so they equal what the service would have
answered then to a request with the same id. Nothing is recorded as shown.

Vectors of users and items of the neural channels, with the versions of release and model.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from config.settings import Settings
from recommender.recall.neural_channel import NeuralChannel
from recommender.user.user_batch import UserBatch
from releases import model_store
from serving.batch import BatchError
from serving.errors import NO_RELEASE_MESSAGE
from serving.messages import render_reason
from serving.observability.metrics import Metrics
from serving.pipeline.request import Request, read_request
from serving.pipeline.response import RecommendationResponse
from serving.pipeline.user_state import STATE_FROM_STORE
from serving.releases.served_release import ServedRelease
from serving.runtime import Runtime
from storage.files import atomic_write, open_draft, read_json
from storage.suppression_list import read_suppression_list

DESCRIPTION_FILE, SUCCESS_FILE = "batch.json", "_SUCCESS"


class PartFolder:
    """The folder of one run.

    Args:
        folder: The folder, which is created.
        kinds: Names of the tables, which are folders inside.
        description: What determines the content of the files; JSON.
        at_us: Time of the requests if the run begins, µs since 1970; a continued run keeps its first time. A finished
            run is not continued: the next one writes every part anew.

    Raises:
        BatchError: The folder has other files.
    """

    def __init__(self, folder: Path, kinds: Sequence[str], description: Mapping[str, Any], at_us: int) -> None:
        self._folder = folder
        self._file = file = folder / DESCRIPTION_FILE
        earlier = read_json(file)
        if not file.exists() and folder.exists() and any(folder.iterdir()):
            raise BatchError(f"{folder} has other files; give --out a new or empty folder")
        is_equal = {**earlier, "at_us": None} == {**description, "at_us": None}
        self.is_continued = is_equal and not (folder / SUCCESS_FILE).exists()
        if self.is_continued:
            self.at_us = int(earlier["at_us"])
        else:
            # `_SUCCESS` first, because readers rely on it. The description stays, because without it the folder would no longer
            # count as one of an earlier run; it is empty, so that the rest of a finished run is not continued.
            (folder / SUCCESS_FILE).unlink(missing_ok=True)
            if file.exists():
                _write(file, {})
            for kind in kinds:
                shutil.rmtree(folder / kind, ignore_errors=True)
            self.at_us = at_us
            _write(file, {**description, "at_us": at_us})

    def path(self, kind: str, name: str | int) -> Path:
        """File of a table: a numbered part of the table `kind`, or a file with a name."""
        return self._folder / kind / (f"part-{name:05d}.parquet" if isinstance(name, int) else f"{name}.parquet")

    def write(self, kind: str, name: str | int, table: pa.Table) -> None:
        """Write a file; it is complete when it appears."""
        with open_draft(self.path(kind, name)) as draft:
            pq.write_table(table, draft, compression="zstd")

    def finish(self) -> None:
        """Write `_SUCCESS`, after which readers may rely on the folder."""
        (self._folder / SUCCESS_FILE).touch()


def _write(file: Path, content: dict[str, Any]) -> None:
    atomic_write(file, json.dumps(content, indent=1) + "\n")


VECTOR = pa.list_(pa.float32())
NAME = pa.dictionary(pa.int32(), pa.string())
USER_SCHEMA = pa.schema(
    {
        "user_id": pa.string(),
        "channel": NAME,
        "task": NAME,
        "query": pa.int32(),
        "vector": VECTOR,
        "release": NAME,
        "model_version": NAME,
    }
)
ITEM_SCHEMA = pa.schema(
    {"track_id": pa.string(), "channel": NAME, "vector": VECTOR, "release": NAME, "model_version": NAME}
)


LISTS, USERS, ITEMS = "lists", "user_embeddings", "item_embeddings"
"""Folders of the tables."""
NO_DEADLINE_MS = 600_000
"""No user waits for the response, so a late channel is waited for instead of being left out."""
IDS_PER_READ, USERS_PER_PART = 10_000, 1000
"""Ids of a page, and users in memory and in each file."""
NAMESPACE = uuid.UUID("6f1c1f9e-5c0b-4f0e-9a53-5a9d5d6b7b10")

LIST_SCHEMA = pa.schema(
    {
        "user_id": pa.string(),
        "position": pa.int32(),
        "target_type": NAME,
        "target_id": pa.string(),
        "title": pa.string(),
        "score": pa.float64(),
        "channels": pa.list_(pa.string()),
        "reason": pa.string(),
        "propensity": pa.float64(),
        "is_exploration": pa.bool_(),
        "request_id": pa.string(),
        "release": NAME,
        "arm": NAME,
    }
)


def open_runtime(settings: Settings, metrics: Metrics) -> Runtime:
    """A runtime that computes responses without recording anything.

    Raises:
        BatchError: No release is in service.
    """
    runtime = Runtime(settings.model_copy(update={"recall_deadline_ms": NO_DEADLINE_MS}), metrics, is_service=False)
    status = runtime.status()
    if not status["release"]:
        runtime.close()
        refused = [f"release {one['release']} was rejected: {one['why']}" for one in status["rejected"]]
        raise BatchError("; ".join(refused) or NO_RELEASE_MESSAGE)
    return runtime


def run(runtime: Runtime, settings: Settings, scene: str, out: Path, now_us: int, say: Callable[[str], None]) -> None:
    """Write the tables of a scene below `out`; continue if an equal run was interrupted there.

    Raises:
        BatchError: There is no user, the folder has other files, the online store failed, or users were missing later on.
        NoCollections: The release has no items of the scene's type.
    """
    users = _list_users(runtime)
    if not users:
        raise BatchError("no user has materialized features; run the pipeline first: `make run`")
    status = runtime.status()
    description = {
        "scene": scene,
        "territory": settings.territory,
        "explicit": settings.explicit,
        "releases": [str(status["release"]), *(f"{one['release']}:{one['share']:g}" for one in status["canaries"])],
        "users": len(users),
        "users_digest": hashlib.blake2b("\n".join(users).encode(), digest_size=16).hexdigest(),
    }
    folder = PartFolder(out, (LISTS, USERS, ITEMS), description, now_us)
    models = {release.release_id: ReleaseModels.of(release) for release in runtime.releases()}
    began, computed = time.monotonic(), 0
    with ThreadPoolExecutor(settings.concurrent_requests) as pool:
        for number, first in enumerate(range(0, len(users), USERS_PER_PART)):
            if folder.path(LISTS, number).exists():  # written after the vectors
                continue
            ids = users[first : first + USERS_PER_PART]
            requests = [_request(user, settings, scene, folder.at_us) for user in ids]
            answers = list(pool.map(lambda request: _answer(runtime, request, models), requests))
            # Read after the answers, so that users who were erased meanwhile are left out, too.
            erased = read_suppression_list(settings.suppression_list)
            kept = [rows for user, rows in zip(ids, answers, strict=True) if user not in erased]
            lists = [row for rows, _ in kept for row in rows]
            vectors = [row for _, rows in kept for row in rows]
            folder.write(USERS, number, pa.Table.from_pylist(vectors, USER_SCHEMA))
            folder.write(LISTS, number, pa.Table.from_pylist(lists, LIST_SCHEMA))
            computed, done = computed + len(ids), first + len(ids)
            rate = computed / max(time.monotonic() - began, 1e-9)
            minutes = (len(users) - done) / rate / 60
            say(f"{done:,} of {len(users):,} users, {rate:.0f} users/s, {minutes:.0f} min left")
    missing, erased = set(users).difference(_list_users(runtime)), read_suppression_list(settings.suppression_list)
    if lost := missing - erased.intersection(missing):
        raise BatchError(
            f"{len(lost):,} of {len(users):,} users have no features anymore: the record of materialized users changed or could "
            "not be read; give the same command again when the materialization has ended"
        )
    for release_id, of in models.items():
        for name, table in of.item_tables():
            folder.write(ITEMS, f"{name}-{release_id}", table)
    folder.finish()
    say(f"lists and embeddings of {len(users):,} users are in {out}")


def _answer(
    runtime: Runtime, request: Request, models: Mapping[str, ReleaseModels]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of the list and rows of the vectors of one user.

    Raises:
        BatchError: The state of the user could not be read.
    """
    response = runtime.compute(request)
    check_state(response)
    users, release = runtime.load_user(request)
    rows = [
        {
            "user_id": request.user_id,
            "position": position,
            "target_type": item.target[0],
            "target_id": item.target[1],
            "title": item.details["title"],
            "score": item.score,
            "channels": item.channels,
            "reason": render_reason(item.reason, "en"),
            "propensity": item.propensity,
            "is_exploration": item.is_exploration,
            "request_id": request.request_id,
            "release": item.release or response.release,
            "arm": response.arm,
        }
        for position, item in enumerate(response.items)
    ]
    return rows, models[release.release_id].user_rows(request.user_id, users)


def check_state(response: RecommendationResponse) -> None:
    """Check that the response is made from the stored state of the user.

    Raises:
        BatchError: The state could not be read.
    """
    if response.trace.state_from != STATE_FROM_STORE:
        raise BatchError("the online store failed; start it, then give the same command again: finished parts are kept")


def _request(user_id: str, settings: Settings, scene: str, at_us: int) -> Request:
    """The request of a user; its id is the same in a repeated run, so that exploration chooses the same tracks."""
    request_id = uuid.uuid5(NAMESPACE, f"{scene}\n{at_us}\n{user_id}").hex
    return read_request(user_id, scene, None, at_us, None, request_id, settings.territory, settings.explicit)


def _list_users(runtime: Runtime) -> list[str]:
    """Ids of all users in order."""
    users: list[str] = []
    while page := runtime.inspector.list_users(IDS_PER_READ, users[-1] if users else ""):
        users += page
    return users


@dataclass(frozen=True)
class ReleaseModels:
    """The channels with vectors of one release, and the versions of their models."""

    release: ServedRelease
    versions: Mapping[str, str]

    @classmethod
    def of(cls, release: ServedRelease) -> ReleaseModels:
        """The channels with the input hashes of their final fits, from the manifest of the release."""
        folder = model_store.version_folder(release.release_id)
        manifest = read_json(folder / "manifest.json") if folder is not None else {}
        models = manifest.get("models", {}).get("final", {})
        return cls(release, {name: models.get(f"channel/{name}", "") for name in release.channels})

    @property
    def channels(self) -> Iterator[tuple[str, NeuralChannel[Any]]]:
        """The channels with vectors."""
        return ((name, one) for name, one in self.release.channels.items() if isinstance(one, NeuralChannel))

    def user_rows(self, user_id: str, users: UserBatch) -> list[dict[str, object]]:
        """The query vectors of one user: by channel and task, one or several. None if a channel has no history of the user.

        The inner product of a query with an item vector of the same channel is the score of the item.
        """
        rows = []
        for name, channel in self.channels:
            found, queries = channel.encode_queries(users)
            for task, query_BQD in queries.items() if len(found) else ():
                for number, vector in enumerate(query_BQD[0]):
                    rows.append(self._row(name) | {"user_id": user_id, "task": task, "query": number, "vector": vector})
        return rows

    def item_tables(self) -> Iterator[tuple[str, pa.Table]]:
        """Channel → the vectors of the catalog's tracks."""
        for name, channel in self.channels:
            items = channel.catalog
            vector_ND = channel.item_vectors(items)
            columns = {column: pa.array([value] * len(items), NAME) for column, value in self._row(name).items()}
            columns["track_id"] = pa.array(self.release.vocabulary.decode(items), pa.string())
            columns["vector"] = pa.array(list(vector_ND.astype(np.float32)), VECTOR)
            yield name, pa.table(columns).select(ITEM_SCHEMA.names)

    def _row(self, name: str) -> dict[str, object]:
        return {"channel": name, "release": self.release.release_id, "model_version": self.versions[name]}
