"""A release as the pipeline uses it: the fitted models and the catalog, loaded from a release folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from recommender.catalog.catalog import Catalog
from recommender.catalog.collections import Collections
from recommender.catalog.vocabulary import Vocabulary
from recommender.slate.continuation_weights import Continuation
from recommender.slate.fusion import Fusion
from recommender.slate.ranker_blend import Blend
from recommender.user.exclusions import NO_ITEMS, TargetTracks
from releases import integrity
from sequences.feature_services import ServiceContract
from serving.response_schemas import COVER, PREVIEW

if TYPE_CHECKING:
    from recommender.search.track_search import TrackSearch

MAX_KEPT_DETAILS = 20_000
MAX_SEARCHED_PLAYLISTS = 20_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServedRelease:
    """Everything that a response needs; immutable and shared by all requests."""

    release_id: str
    channels: Mapping[str, Any]  # name → `RecallChannel`
    fusion: Fusion
    ranker: Any  # fitted ranker, or None
    blend: Blend
    vocabulary: Vocabulary
    catalog: Catalog
    contract: ServiceContract  # features that the models may see
    search: TrackSearch
    as_of: str = ""  # last day of the training data, YYYY-MM-DD; empty if unknown
    is_own_catalog: bool = False  # one user has played every track
    collection_channels: Mapping[str, Any] = field(default_factory=dict)  # name → `CollectionRecall`
    continuation: Continuation = field(default_factory=Continuation)  # how sources of playlist continuation are fused
    continuation_sources: Mapping[str, Any] = field(default_factory=dict)  # name → source
    _details: dict[int, dict[str, Any]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def discovery_share(self, scene: str) -> float:
        """Fraction of new tracks in a list of a scene; without tuned shares, the fraction among the candidates."""
        share = self.blend.discovery_share(scene)
        return self.fusion.discovery_share(scene) if share is None else share

    def details(self, item: int) -> dict[str, Any]:
        """The fields of an item's `Track`; they are kept for tracks that were shown, and must not be changed."""
        fields = self._details.get(item)
        if fields is None:
            if len(self._details) >= MAX_KEPT_DETAILS:
                self._details.clear()
            fields = self._details[item] = self._read_details(item)
        return fields

    def _read_details(self, item: int) -> dict[str, Any]:
        catalog, track_id = self.catalog, str(self.vocabulary.track_ids_V[item])
        album_id, audio_url = catalog.album_ids_V[item], catalog.audio_urls_V[item]
        path = track_id if track_id.isascii() and track_id.isalnum() else quote(track_id, safe="")
        return {
            "track_id": track_id,
            "title": catalog.titles_V[item],
            "artists": catalog.artist_names_V[item],
            "artist_ids": catalog.artist_ids_of(item),
            "album_id": album_id or None,
            "album": catalog.album_titles.get(album_id, ""),
            "duration_ms": int(catalog.duration_ms_V[item]),
            "facets": catalog.facets.names_of(item),
            # The URL of the catalog, or of the file that it names.
            "audio_url": audio_url or (f"media/{PREVIEW}/{path}" if catalog.audio_paths_V[item] else None),
            "cover_url": f"media/{COVER}/{path}" if catalog.cover_paths_V[item] else None,
        }

    @cached_property
    def playlists(self) -> Collections:
        """The playlists of the release; empty without their recall."""
        source = self.collection_channels.get("playlists")
        return Collections.from_rows("playlist", []) if source is None else source.collections

    @cached_property
    def playlist_names(self) -> dict[str, str]:
        """Id → normalized title of the playlists that a search finds, the most opened first."""
        from recommender.search.named_tracks import normalize_name

        playlists = self.playlists
        numbers = playlists.popular_K[:MAX_SEARCHED_PLAYLISTS].tolist()
        return {playlists.ids_N[one]: normalize_name(playlists.titles_N[one]) for one in numbers}

    @cached_property
    def target_tracks(self) -> TargetTracks:
        """The tracks of what a user may leave out of the taste profile."""
        playlists = self.playlists

        def items_of_playlist(playlist_id: str) -> np.ndarray:
            number = playlists.number_by_id.get(playlist_id)
            return NO_ITEMS if number is None else playlists.tracks[number]

        return TargetTracks(self.catalog, items_of_playlist)

    def source(self, name: str) -> Any:
        """The channel or collection source of a name.

        Raises:
            KeyError: There is none.
        """
        return self.collection_channels[name] if name in self.collection_channels else self.channels[name]


def load_release(folder: Path, contract: ServiceContract, public_key: Path | None = None) -> ServedRelease:
    """Verify and load the release in `folder`.

    Args:
        folder: Release folder that `training.release` wrote.
        contract: Features that the models may see.
        public_key: PEM file of the key that must have signed the release; None: signatures are not checked.

    Raises:
        DamagedRelease: A file does not match its checksum, or there is no valid signature.
        FileNotFoundError: A part is missing; the message names it.
    """
    files, signature = integrity.verify(folder, public_key), "checked" if public_key else "not checked"
    logger.info("release in %s: %d files verified, signature %s", folder, files, signature)
    return served_release(folder, contract)


def served_release(folder: Path, contract: ServiceContract) -> ServedRelease:
    """Load the release in `folder`, which this process has written or verified; see `load_release`."""
    from content.encoders.text import encode_texts, text_encoder_version
    from recommender.search.track_search import TrackSearch
    from releases.bundle import SEARCH, Release

    release = Release.load(folder)
    return ServedRelease(
        release_id=str(release.manifest["release"]),
        channels=release.channels,
        fusion=release.fusion,
        ranker=release.ranker,
        blend=release.blend,
        vocabulary=release.vocabulary,
        catalog=release.catalog,
        contract=contract,
        as_of=str(release.manifest.get("as_of", "")),
        is_own_catalog=bool(release.manifest.get("is_own_catalog", False)),
        collection_channels=release.collection_recallers,
        search=TrackSearch.load(folder / SEARCH, encode_texts, text_encoder_version()),
        continuation=release.continuation,
        continuation_sources=release.continuation_sources,
    )
