"""Vectors of users and items of the neural channels, with the versions of release and model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from serving.releases.served_release import ServedRelease
from training.data.user_batch import UserBatch
from training.recall.neural_channel import ITEMS_PER_CHUNK, NeuralChannel
from training.release import model_store

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


@dataclass(frozen=True)
class ReleaseModels:
    """The channels with vectors of one release, and the versions of their models."""

    release: ServedRelease
    versions: Mapping[str, str]

    @classmethod
    def of(cls, release: ServedRelease) -> ReleaseModels:
        """The channels with the input hashes of their final fits, from the manifest of the release."""
        folder = model_store.version_folder(release.release_id)
        models: dict[str, str] = {}
        if folder is not None and (folder / "manifest.json").exists():
            models = json.loads((folder / "manifest.json").read_text()).get("models", {}).get("final", {})
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
                for number, vector in enumerate(query_BQD[0].numpy()):
                    rows.append(self._row(name) | {"user_id": user_id, "task": task, "query": number, "vector": vector})
        return rows

    @torch.no_grad()
    def item_tables(self) -> Iterator[tuple[str, pa.Table]]:
        """Channel → the vectors of the catalog's tracks."""
        for name, channel in self.channels:
            chunks = [
                self._item_chunk(name, channel, items)
                for items in np.array_split(channel.catalog, max(1, len(channel.catalog) // ITEMS_PER_CHUNK))
            ]
            yield name, pa.concat_tables(chunks).unify_dictionaries()

    def _item_chunk(self, name: str, channel: NeuralChannel[Any], items: np.ndarray) -> pa.Table:
        vector_ND = channel.vectors(torch.from_numpy(items)).numpy().astype(np.float32)
        track_ids = self.release.vocabulary.decode(items)
        offsets = pa.array(np.arange(len(items) + 1) * vector_ND.shape[1], type=pa.int32())
        columns = {"track_id": pa.array(track_ids, type=pa.string())}
        columns["vector"] = pa.ListArray.from_arrays(offsets, pa.array(vector_ND.ravel()))
        for column, value in self._row(name).items():
            columns[column] = pa.array([value] * len(items)).dictionary_encode()
        return pa.table([columns[column] for column in ITEM_SCHEMA.names], schema=ITEM_SCHEMA)

    def _row(self, name: str) -> dict[str, object]:
        return {"channel": name, "release": self.release.release_id, "model_version": self.versions[name]}
