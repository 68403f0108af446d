"""The online store as the service meets it: one connection that writes, one that reads, opened at the start.

Before the first `feast apply` there is nothing to open: every call tries again and fails until then, and what was to be
written is pushed again later. Knows nothing about tensors or HTTP.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from sequences.feast_store import open_store
from sequences.online.reader_writer import OnlineReader, OnlineWriter
from sequences.views import LIVE_SOURCE
from serving.events.event_schema import Event
from serving.pipeline.hydrate import FeatureRows
from training.data.feature_services import ServiceContract

SERVICE = "recommender"

logger = logging.getLogger(__name__)


class OnlineStore:
    """Feast's online store, for any thread. `duration_of(track_id)` is in ms, None where unknown."""

    def __init__(self, duration_of: Callable[[str], int | None]) -> None:
        self._duration_of = duration_of
        self._open_lock = threading.Lock()
        self._reader: OnlineReader | None = None
        self._writer: OnlineWriter | None = None

    def open(self) -> None:
        """Open what is there to be opened, so that the first request and the first event need not wait for it."""
        try:
            self._get_writer()
            self._get_reader()
        except Exception as error:
            logger.warning("the online store cannot be opened yet, is there a `feast apply` to come? %s", error)

    def apply(self, events_of: Mapping[str, list[Event]]) -> None:
        """Make events readable, user ▸ events."""
        self._get_writer().apply_batch(events_of)

    def read(self, user_id: str) -> FeatureRows:
        """Everything about the user, batch and live part merged."""
        return self._get_reader().read(user_id)

    def contract(self) -> ServiceContract:
        """What the registry lets models see; asked once a release, so that a changed registry is taken up with it."""
        registered = ServiceContract.of(open_store(), SERVICE)
        if self._reader is not None:
            self._reader.refresh()
        # The live part belongs to the sequences: the reader merges it in.
        features = tuple(one for one in registered.features if not one.startswith(f"{LIVE_SOURCE}:"))
        return ServiceContract(registered.sequence_views, features)

    def _get_writer(self) -> OnlineWriter:
        if self._writer is None:
            with self._open_lock:
                self._writer = self._writer or OnlineWriter(open_store(), self._duration_of)
        return self._writer

    def _get_reader(self) -> OnlineReader:
        if self._reader is None:
            with self._open_lock:
                self._reader = self._reader or OnlineReader(open_store())
        return self._reader
