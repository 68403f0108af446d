"""Access of the service to Feast's online store: one connection for writes and one for reads, opened at the start.

Before the first `feast apply` the store cannot be opened: every call retries and fails until then, and failed writes are
pushed again later. Knows nothing about tensors or HTTP.
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
    """Feast's online store; thread-safe. `duration_of(track_id)` is in ms, None if unknown."""

    def __init__(self, duration_of: Callable[[str], int | None]) -> None:
        self._duration_of = duration_of
        self._open_lock = threading.Lock()
        self._reader: OnlineReader | None = None
        self._writer: OnlineWriter | None = None

    def open(self) -> None:
        """Open the connections, so that the first request and the first event do not have to."""
        try:
            self._get_writer()
            self._get_reader()
        except Exception as error:
            logger.warning("the online store cannot be opened; run `feast apply` if it has not run yet: %s", error)

    def apply(self, events_of: Mapping[str, list[Event]]) -> None:
        """Apply events (user → events), so that reads see them."""
        self._get_writer().apply_batch(events_of)

    def read(self, user_id: str) -> FeatureRows:
        """All views of the user, with the batch and live parts merged."""
        return self._get_reader().read(user_id)

    def contract(self) -> ServiceContract:
        """The features that the registry lets models see. Read once per release, which picks up a changed registry."""
        registered = ServiceContract.of(open_store(), SERVICE)
        if self._reader is not None:
            self._reader.refresh()
        # The reader merges the live part into the sequences.
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
