"""Examples that the API's page shows: of requests, which can be tried there, of answers and of errors.

Their ids are of the simulated world. Knows nothing about the shape of an OpenAPI document.
"""

from __future__ import annotations

from typing import Any

Spec = dict[str, Any]

REQUESTS: dict[str, dict[str, Spec]] = {
    "/recommend": {
        "Thirty for today": {"user_id": "u0", "scene": "daily"},
        "Half of it new, and how it came about": {
            "user_id": "u0",
            "scene": "daily",
            "limit": 10,
            "discovery": 0.5,
            "debug": True,
        },
        "The next three of a stream": {"user_id": "u0", "scene": "private_fm", "limit": 3},
        "Playlists": {"user_id": "u0", "scene": "playlists", "limit": 5},
        "Short videos": {"user_id": "u0", "scene": "mlog"},
    },
    "/similar": {
        "Ten tracks like one": {"track_id": "t12", "limit": 10},
        "Without what a listener blocked": {"track_id": "t12", "user_id": "u0"},
    },
    "/listener": {"A listener": {"user_id": "u0"}, "Somebody nobody knows": {"user_id": "nobody"}},
    "/listeners": {"Twenty": {}, "Five": {"limit": 5}},
    "/search": {"By title": {"words": "song 12"}, "Most played": {"limit": 10}},
    "/events": {
        "A play to the end": {
            "events": [
                {"user_id": "u0", "target_type": "track", "target_id": "t12", "action": "play", "played_ms": 184000}
                | {"request_id": "8318b63132644ee1b27451f4bdc0f575", "position": 0}
            ]
        },
        "Never again this artist": {
            "events": [{"user_id": "u0", "target_type": "artist", "target_id": "a3", "action": "block"}]
        },
        "A playlist was opened": {
            "events": [{"user_id": "u0", "target_type": "playlist", "target_id": "p42", "action": "click"}]
        },
    },
}

RESPONSES: dict[str, Spec] = {
    "/recommend": {
        "request_id": "8318b63132644ee1b27451f4bdc0f575",
        "release": "2026-07-01-3f9c2d",
        "items": [
            {
                "track_id": "t12",
                "title": "Song 12",
                "artists": ["Artist 3"],
                "artist_ids": ["a3"],
                "duration_ms": 184000,
                "score": 0.87,
                "channels": ["realtime", "favourites"],
                "reason": "close to what you played last",
            }
        ],
        "trace": {
            "release": "2026-07-01-3f9c2d",
            "discovery": 0.5,
            "state_from": "store",
            "stage_ms": {"hydrate": 3.1, "recall": 41.7, "fuse": 2.2, "filter": 0.9, "rank": 8.4, "select": 1.3},
            "candidates": {"popularity": 200, "realtime": 200, "favourites": 117},
            "left_out": {"knowledge_graph": "late"},
            "fused": 431,
            "removed": {"unavailable": 2, "excluded_artists": 5, "duplicate_recordings": 3},
            "ranked": 300,
            "listed": 0,
            "explored": 1,
        },
    },
    "/similar": {
        "request_id": "2f0b5a1c6f3b4a4e9d61f0c6a1a7f1de",
        "release": "2026-07-01-3f9c2d",
        "items": [
            {
                "track_id": "t31",
                "title": "Song 31",
                "artists": ["Artist 7"],
                "artist_ids": ["a7"],
                "duration_ms": 201000,
                "score": 1.0,
                "channels": ["realtime", "knowledge_graph"],
                "reason": "because it is close to Song 12 by Artist 3",
            }
        ],
    },
    "/listener": {
        "user_id": "u0",
        "is_known": True,
        "release": "2026-07-01-3f9c2d",
        "events": [
            {
                "track_id": "t12",
                "title": "Song 12",
                "artists": ["Artist 3"],
                "behaviour": "full_play",
                "ended_at": 1782864000000000,
                "played_ratio": 1.0,
                "session": 1,
            }
        ],
        "interests": [
            {"name": "Cantonese · britpop", "share": 0.62, "titles": ["Song 12"], "artists": ["Artist 3"]},
        ],
        "short_term": {"name": "Cantonese · britpop", "share": 1.0, "titles": ["Song 12"], "artists": ["Artist 3"]},
        "long_term": {"name": "Cantonese · night", "share": 1.0, "titles": ["Song 12"], "artists": ["Artist 3"]},
    },
    "/listeners": {"user_ids": ["u0", "u1"]},
    "/search": {"items": [{"track_id": "t12", "title": "Song 12", "artists": ["Artist 3"]}]},
    "/events": {
        "accepted": 1,
        "duplicate": 0,
        "rejected": [{"index": 1, "reason": "played_ms is missing; a play says how long it lasted, in milliseconds"}],
    },
}

STATUS: Spec = {
    "is_ready": True,
    "release": "3f9c2d51a0be",
    "experiment": "b81d20c4e77f",
    "beside": [{"release": "b81d20c4e77f", "share": 0.1, "is_in_service": True}],
    "refused": [],
}

PLAYLIST: Spec = {
    "playlist_id": "p42",
    "title": "Western electronic essentials 3",
    "score": 0.91,
    "channels": ["playlists"],
    "reason": "because you opened Western electronic favourites 2",
    "tracks": [{"track_id": "t12", "title": "Song 12", "artists": ["Artist 3"], "duration_ms": 215000}],
}
MLOG: Spec = {
    "mlog_id": "m7",
    "title": "A moment with Song 31",
    "score": 0.74,
    "channels": ["mlogs"],
    "reason": "because you played Song 12 by Artist 3 just now",
    "tracks": [{"track_id": "t31", "title": "Song 31", "artists": ["Artist 7"], "duration_ms": 188000}],
}

ACCESS_ERRORS = {
    401: "no API key, or none of ours; send the header Authorization: Bearer KEY",
    403: "this service has no API keys and answers only its own machine; start it with SEGUE_API_KEYS",
    429: "too many requests from one client; ask again in 1 s",
}
"""What every path that asks for a key may say."""

BODY_ERRORS = {
    413: "the body is larger than 1048576 bytes; send fewer events at once",
    415: "content type 'text/plain'; send application/json",
}
NO_RELEASE_ERROR = {503: "no release is in service yet; `make run` or the DAG release_models makes one"}
ERRORS = {
    "/listener": {
        400: "user_id must be 1 to 256 bytes of printable text",
        **BODY_ERRORS,
        **NO_RELEASE_ERROR,
    },
    "/listeners": {
        400: "limit: Input should be greater than or equal to 1",
        **BODY_ERRORS,
    },
    "/search": {
        400: "limit: Input should be greater than or equal to 1",
        **BODY_ERRORS,
        **NO_RELEASE_ERROR,
    },
    "/recommend": {
        400: "scene 'shower' is not one of daily, private_fm, playlists, mlog",
        404: "release 2026-07-01-3f9c2d has no playlists; land some and train, or ask for another scene",
        **BODY_ERRORS,
        **NO_RELEASE_ERROR,
    },
    "/similar": {
        400: "limit 200 is not between 1 and 100, what scene similar gives at once",
        404: "track 't999999' is not in release 2026-07-01-3f9c2d; give the id of another",
        **BODY_ERRORS,
        **NO_RELEASE_ERROR,
    },
    "/events": {
        400: "events: List should have at least 1 item after validation, not 0",
        **BODY_ERRORS,
        503: "1024 reports are waiting for the disk; send the events again in a second",
    },
}
