"""What the service shows of a user: profile, taste, library, explanations, and everything that is stored.

Nothing of an erased user is read. Independent of HTTP.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from config.settings import Settings
from sequences.online import materialization_state
from serving.errors import NotReady
from serving.inspection.explain import Explanation, explain
from serving.inspection.library import Library, describe_library
from serving.inspection.stored_data import StoredData, collect_stored_data
from serving.inspection.taste_profile import Taste, describe_taste
from serving.inspection.user_profile import UserProfile, describe_user
from serving.pipeline.pipeline import encode_tracks
from serving.pipeline.request import Request, anonymize_erased_user, read_request
from training.slate.scene_settings import SCENES

if TYPE_CHECKING:
    from sequences.online.reader_writer import StoredViews
    from serving.events.event_writing import EventWriting
    from serving.events.suppression import SuppressionListFollower
    from serving.pipeline.stages.hydrate import Hydrator
    from serving.pipeline.stages.rank import Ranking
    from serving.pipeline.stages.recall import Recall
    from serving.releases.manager import ReleaseManager
    from serving.releases.served_release import ServedRelease

logger = logging.getLogger(__name__)


class UserInspector:
    """Describes users, each by the release that serves them; changes no response.

    Args:
        settings: Settings of the service.
        releases: Releases in service.
        suppression: Erased users.
        hydrator: Reads the state of users.
        recall: Recall stage.
        ranking: Ranking stage.
        now_us: Clock, µs UTC.
        writing: What this process writes of users; returns None in a process that writes nothing.
    """

    def __init__(
        self,
        settings: Settings,
        releases: ReleaseManager,
        suppression: SuppressionListFollower,
        hydrator: Hydrator,
        recall: Recall,
        ranking: Ranking,
        now_us: Callable[[], int],
        writing: Callable[[], EventWriting | None],
    ) -> None:
        self._settings, self._releases, self._suppression = settings, releases, suppression
        self._hydrator, self._recall, self._ranking = hydrator, recall, ranking
        self._now_us, self._writing = now_us, writing
        self._export_lock = threading.Lock()

    def describe_user(self, user_id: str) -> UserProfile:
        """The profile of a user.

        Raises:
            RequestRejected: The id is invalid.
            NotReady: No release is in service yet.
        """
        with self._served(user_id) as (request, release):
            user = self._hydrator.load_user_state(request, release)
            profile = describe_user(user, release, self._recall)
        return replace(profile, user_id=user_id)

    def describe_taste(self, user_id: str) -> Taste:
        """What shapes the recommendations of a user, and what the user left out.

        Raises:
            RequestRejected: The id is invalid.
            NotReady: No release is in service yet, or the online store fails.
        """
        with self._served(user_id) as (request, release):
            rows = self._read_views(request)
            user = self._hydrator.load_user_state(request, release)
            writing = self._writing()
            private_session = writing.private_session(request.user_id) if writing else None
            taste = describe_taste(user, rows, release, self._recall, private_session)
        return replace(taste, user_id=user_id)

    def describe_library(self, user_id: str) -> Library:
        """What the user liked, saved, hid and blocked.

        Raises:
            RequestRejected: The id is invalid.
            NotReady: No release is in service yet, or the online store fails.
        """
        with self._served(user_id) as (request, release):
            rows = self._read_views(request)
        return describe_library(user_id, rows, release)

    def explain(self, user_id: str, track_id: str, scene: str) -> Explanation:
        """Why a track suits a user.

        Raises:
            RequestRejected: The id is invalid.
            UnknownTrack: The release does not have the track.
            NotReady: No release is in service yet.
        """
        with self._served(user_id, scene) as (request, release):
            item = int(encode_tracks([track_id], release, "use the id of another track")[0])
            user = self._hydrator.load_user_state(request, release)
            return explain(item, user, request.scene.name, release, self._recall, self._ranking)

    def export_data(self, user_id: str) -> StoredData:
        """Everything that is stored about the user; nothing for an erased one.

        One at a time: an export reads all logs, and goes on if its request has timed out.

        Raises:
            RequestRejected: The id is invalid.
            NotReady: The online store does not respond, or another export is running.
        """
        with self._requested(user_id) as request:
            if not request.user_id:
                return StoredData({}, [])
            if not self._export_lock.acquire(blocking=False):
                raise NotReady("another export is running; send the request again in a minute")
            try:
                if writing := self._writing():
                    writing.feature_log.flush()
                return collect_stored_data(user_id, self._settings, self._read_views(request))
            finally:
                self._export_lock.release()

    def list_users(self, limit: int, after: str = "") -> list[str]:
        """At most `limit` sorted ids, greater than `after`, of users whose features were materialized.

        Empty if their record cannot be read.
        """
        try:
            return materialization_state.materialized_users(
                materialization_state.digests_file(self._settings.feast, self._settings.online_store), limit, after
            )
        except sqlite3.DatabaseError:
            logger.exception("the record of materialized users cannot be read")
            return []

    @contextmanager
    def _requested(self, user_id: str, scene: str = "") -> Iterator[Request]:
        """A request of the user now, without the id of an erased user; one version of the suppression list holds meanwhile.

        It is in the first scene unless `scene` is one, and private, because an inspection is not recorded.
        """
        request = read_request(user_id, scene if scene in SCENES else next(iter(SCENES)), None, self._now_us())
        with self._suppression.snapshot() as erased:
            yield replace(anonymize_erased_user(request, erased), is_private=True)

    @contextmanager
    def _served(self, user_id: str, scene: str = "") -> Iterator[tuple[Request, ServedRelease]]:
        """As `_requested`, with the release that serves the user.

        Raises:
            NotReady: No release is in service yet.
        """
        with self._requested(user_id, scene) as request:
            yield request, self._releases.serving_release(user_id)

    def _read_views(self, request: Request) -> StoredViews:
        """All views of the request's user.

        Raises:
            NotReady: The online store fails.
        """
        try:
            return self._hydrator.read_views(request.user_id)
        except Exception as error:
            raise NotReady("the online store does not respond; retry later") from error
