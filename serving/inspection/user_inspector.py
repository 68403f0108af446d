"""What the service shows of a user: profile, taste, library, explanations, and everything that is stored.

Nothing of an erased user is read. Independent of HTTP.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from config.settings import Settings
from event_store.private_sessions import PrivateSession
from recommender.slate.scene_settings import SCENES
from sequences.online import online_stores
from sequences.online.reader import StoredViews
from serving.errors import NotReady
from serving.inspection.explain import explain
from serving.inspection.library import describe_library
from serving.inspection.stored_data import collect_stored_data, export_of
from serving.inspection.taste_profile import describe_taste
from serving.inspection.user_profile import describe_user
from serving.messages import Language
from serving.pipeline.pipeline import encode_tracks
from serving.pipeline.request import Request, anonymize_erased_user, read_request
from serving.pipeline.stages.hydrate import Hydrator
from serving.pipeline.stages.recall import Recall
from serving.releases.manager import ReleaseManager
from serving.releases.served_release import ServedRelease
from serving.response_schemas import (
    ExplanationResponse,
    ExportResponse,
    LibraryResponse,
    TasteResponse,
    UserProfileResponse,
)
from storage.file_lock import LockHeld, file_lock
from storage.suppression_list import SuppressionListFollower

logger = logging.getLogger(__name__)


class UserInspector:
    """Describes users, each by the release that serves them; changes no response.

    Args:
        settings: Settings of the service.
        releases: Releases in service.
        suppression: Erased users.
        hydrator: Reads the state of users.
        recall: Recall stage.
        now_us: Clock, µs UTC.
        private_session: The private session of a user that lasts now; None without one.
        stored: Rows of a user in the stores that the workers share, by table.
    """

    def __init__(
        self,
        settings: Settings,
        releases: ReleaseManager,
        suppression: SuppressionListFollower,
        hydrator: Hydrator,
        recall: Recall,
        now_us: Callable[[], int],
        private_session: Callable[[str], PrivateSession | None],
        stored: Callable[[str], dict[str, list[dict[str, Any]]]],
    ) -> None:
        self._settings, self._releases, self._suppression = settings, releases, suppression
        self._hydrator, self._recall = hydrator, recall
        self._now_us, self._private_session = now_us, private_session
        self._stored = stored

    def describe_user(self, user_id: str) -> UserProfileResponse:
        """The profile of a user.

        Raises:
            RequestRejected: The id is invalid.
            NotReady: No release is in service yet.
        """
        request, release = self._served(user_id)
        user = self._hydrator.load_user_state(request, release)
        return describe_user(user, release, self._recall).model_copy(update={"user_id": user_id})

    def describe_taste(self, user_id: str) -> TasteResponse:
        """What shapes the recommendations of a user, and what the user left out.

        Raises:
            RequestRejected: The id is invalid.
            NotReady: No release is in service yet, or the online store fails.
        """
        request, release = self._served(user_id)
        rows = self._read_views(request)
        user = self._hydrator.load_user_state(request, release)
        taste = describe_taste(user, rows, release, self._recall, self._private_session(request.user_id))
        return taste.model_copy(update={"user_id": user_id})

    def describe_library(self, user_id: str) -> LibraryResponse:
        """What the user liked, saved, hid and blocked.

        Raises:
            RequestRejected: The id is invalid.
            NotReady: No release is in service yet, or the online store fails.
        """
        request, release = self._served(user_id)
        rows = self._read_views(request)
        return describe_library(user_id, rows, release)

    def explain(self, user_id: str, track_id: str, scene: str, language: Language = "en") -> ExplanationResponse:
        """Why a track suits a user.

        Raises:
            RequestRejected: The id is invalid.
            UnknownTrack: The release does not have the track.
            NotReady: No release is in service yet.
        """
        request, release = self._served(user_id, scene)
        item = int(encode_tracks([track_id], release, "use the id of another track")[0])
        user = self._hydrator.load_user_state(request, release)
        return explain(item, user, request.scene.name, release, self._recall, language)

    def export_data(self, user_id: str) -> ExportResponse:
        """Everything that is stored about the user; nothing for an erased one.

        One at a time: an export reads all logs, and goes on if its request has timed out.

        Raises:
            RequestRejected: The id is invalid.
            NotReady: The online store does not respond, or another export is running.
        """
        request = self._requested(user_id)
        if not request.user_id:
            return export_of(user_id, {})
        try:
            lock = file_lock(self._settings.home / "run" / "export.lock", timeout_s=0)
        except LockHeld as error:
            raise NotReady("another export is running; send the request again in a minute") from error
        with lock:
            return collect_stored_data(user_id, self._settings, self._stored(user_id), self._read_views(request))

    def list_users(self, limit: int, after: str = "") -> list[str]:
        """At most `limit` sorted ids, greater than `after`, of users whose features were materialized.

        Empty if the online store cannot be read.
        """
        try:
            return online_stores.materialized_users(limit, after)
        except Exception:
            logger.exception("the users of the online store cannot be listed")
            return []

    def _requested(self, user_id: str, scene: str = "") -> Request:
        """A request of the user now, without the id of an erased user.

        It is in the first scene unless `scene` is one, and private, because an inspection is not recorded.
        """
        request = read_request(user_id, scene if scene in SCENES else next(iter(SCENES)), None, self._now_us())
        return replace(anonymize_erased_user(request, self._suppression.users), is_private=True)

    def _served(self, user_id: str, scene: str = "") -> tuple[Request, ServedRelease]:
        """As `_requested`, with the release that serves the user.

        Raises:
            NotReady: No release is in service yet.
        """
        return self._requested(user_id, scene), self._releases.serving_release(user_id)

    def _read_views(self, request: Request) -> StoredViews:
        """All views of the request's user.

        Raises:
            NotReady: The online store fails.
        """
        try:
            return self._hydrator.read_views(request.user_id)
        except Exception as error:
            raise NotReady("the online store does not respond; retry later") from error
