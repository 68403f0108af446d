"""How the API describes itself: what BentoML derives from the code, in our words and with examples that can be tried.

Only changes the description; knows nothing about HTTP. The examples' ids are of the simulated world.
"""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from serving.event_schema import COLUMNS, TARGET_TYPES, actions
from serving.scenes import SCENES

Spec = dict[str, Any]

OVERVIEW = """\
Segue recommends tracks, playlists and short videos, and learns from what listeners do with them.

1. **Ask**: `POST /recommend` answers with tracks, best first, and says why each is there.
2. **Report**: `POST /events` with what the listener did, and the `request_id` of the answer it came from.
3. **Ask again**: the very next answer knows it. A blocked or disliked track or artist never comes back.

`POST /similar` answers with tracks like a given one.

Try it here: open *Recommend*, press *Try it out*, then *Execute*. A user nobody knows gets what is popular.

| scene | of | by default | at most |
|---|---|---|---|
"""

TAGS = {
    "Recommend": "Tracks for a listener.",
    "Events": "What the listener did with them.",
    "Look": "For people who want to see what the models see; the listening page asks these.",
    "Operations": "For load balancers and monitoring.",
}

OPERATIONS = {
    "/recommend": ("Recommend", "Tracks, playlists or mlogs for a listener, best first"),
    "/similar": ("Recommend", "Tracks like a given one, nearest first"),
    "/events": ("Events", "Report what listeners did"),
    "/listener": ("Look", "What is known of a listener"),
    "/listeners": ("Look", "Some listeners"),
    "/search": ("Look", "Tracks by words"),
    "/livez": ("Operations", "Is the process able to take events?"),
    "/readyz": ("Operations", "Is a release in service?"),
    "/status": ("Operations", "Which releases are in service, and which were refused?"),
    "/metrics": ("Operations", "Counts and times for Prometheus"),
}

DETAILS = {
    "/recommend": "Every item names the recall channels that found it and the reason in words. The whole answer comes "
    "from one release. A channel that is late or fails is left out of the answer; with none left, popular tracks answer. "
    "`discovery` says how much of the answer should be new to the listener, from 0 (nothing that is not known) to 1; the "
    "first places have fewer discoveries than the later ones. The list of `daily` stays the same within the UTC day, grows "
    "where more tracks are asked for, and has no track of the lists of the last 7 days; where less than half of it should be "
    "new, only what the listener has not heard since. A blocked or disliked track leaves it at once. `debug` adds `trace`, how "
    "the answer came about. The scene `playlists` answers with playlists, `mlog` with short videos (mlogs), each with an id of its own, "
    "a reason and some of its tracks that may be played; a click on one, reported as an event with `target_type` playlist or "
    "mlog, counts in the next answer. They know no `discovery`. 404 says that the release has none.",
    "/similar": "By item vectors and by the music graph; every item names the channels that found it. Filters are those of "
    "`/recommend`, and the track itself stays away in whatever release of its recording. Where little is like it, the "
    "answer is short: it is not filled up with what is popular.",
    "/events": "Each row is an event of the data contract. What is accepted is on the disk when the answer comes, and "
    "in the listener's next recommendation. A row with a known `event_id` is a duplicate and changes nothing; a row that "
    "breaks the contract is refused with the reason, and the others are taken. Times that are left out are now.",
    "/listener": "The newest events with their sessions, the interests that `multi_interest` finds in what was listened to, each with the "
    "facets that set it apart, and what the last session and the last 2,000 plays are about.",
    "/listeners": "Ids of users whose features were materialised, in the order of the ids.",
    "/search": "Every word must stand in the title or in an artist's name; capitals do not matter. Looks through the 50,000 most "
    "played tracks.",
    "/livez": "503: only a restart helps.",
    "/readyz": "503 until the first release is loaded and warm. A new one swaps in without a break.",
    "/status": "The release in production, those beside it with their share of the users, and what was refused and why: the "
    "release before goes on in its place.",
    "/metrics": "Text in Prometheus' format, ours begin with `segue_`.",
}

COLUMN_SCHEMAS: dict[str, Spec] = {
    "event_id": {"type": "string", "description": "The same id is the same event; by default a hash of the event"},
    "user_id": {"type": "string", "description": "Who acted"},
    "sequence_number": {"type": "integer", "description": "The client's own order of events that end at once"},
    "target_type": {"type": "string", "enum": list(TARGET_TYPES)},
    "target_id": {"type": "string", "description": "Id of the target within its type"},
    "occurred_at": {"description": "When it began: ISO 8601 in UTC, or µs since 1970; by default from the end"},
    "ended_at": {"description": "When a play ended; by default now"},
    "action": {"type": "string", "description": "What happened"},
    "played_ms": {"type": "integer", "description": "How long it was played; plays need it, nothing else has it"},
    "scene": {"type": "string", "description": "Where in the product"},
    "context_id": {"type": "string", "description": "What it came from, typed: playlist:7, album:3"},
    "request_id": {"type": "string", "description": "The answer that showed the target"},
    "position": {"type": "integer", "description": "Its place in that answer, from 0"},
    "propensity": {"type": "number", "description": "Probability with which that answer showed it"},
    "device": {"type": "string", "description": "Kind of device, coarse"},
}

REQUEST_EXAMPLES: dict[str, dict[str, Spec]] = {
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

ANSWER_EXAMPLES: dict[str, Spec] = {
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

PLAYLIST_EXAMPLE: Spec = {
    "playlist_id": "p42",
    "title": "Western electronic essentials 3",
    "score": 0.91,
    "channels": ["playlists"],
    "reason": "because you opened Western electronic favourites 2",
    "tracks": [{"track_id": "t12", "title": "Song 12", "artists": ["Artist 3"], "duration_ms": 215000}],
}
MLOG_EXAMPLE: Spec = {
    "mlog_id": "m7",
    "title": "A moment with Song 31",
    "score": 0.74,
    "channels": ["mlogs"],
    "reason": "because you played Song 12 by Artist 3 just now",
    "tracks": [{"track_id": "t31", "title": "Song 31", "artists": ["Artist 7"], "duration_ms": 188000}],
}

ERRORS = {
    400: "The request makes no sense",
    401: "No API key, or a wrong one; only where the service has keys",
    403: "The service has no keys, and the request does not come from its own machine",
    404: "The release does not know the track, or has nothing of what the scene is of",
    413: "The body is too large",
    415: "The body is not JSON",
    429: "Too many requests of one client; Retry-After says when to ask again",
    503: "No release yet, or too many requests are waiting; Retry-After says when to ask again",
}

NULL = {"type": "null"}
KEY = "api_key"
AT_THE_DOOR = {
    401: "no API key, or none of ours; send the header Authorization: Bearer KEY",
    403: "this service has no API keys and answers only its own machine; start it with SEGUE_API_KEYS",
    429: "too many requests from one client; ask again in 1 s",
}
"""What every path that asks for a key may say."""

ERROR_EXAMPLES = {
    "/listener": {
        400: "user_id must be 1 to 256 bytes of printable text",
        413: "the body is larger than 1048576 bytes; send fewer events at once",
        415: "content type 'text/plain'; send application/json",
        503: "no release is in service yet; `make pipeline` or the DAG release_models makes one",
    },
    "/listeners": {
        400: "limit: Input should be greater than or equal to 1",
        413: "the body is larger than 1048576 bytes; send fewer events at once",
        415: "content type 'text/plain'; send application/json",
    },
    "/search": {
        400: "limit: Input should be greater than or equal to 1",
        413: "the body is larger than 1048576 bytes; send fewer events at once",
        415: "content type 'text/plain'; send application/json",
        503: "no release is in service yet; `make pipeline` or the DAG release_models makes one",
    },
    "/recommend": {
        400: "scene 'shower' is not one of daily, private_fm, playlists, mlog",
        404: "release 2026-07-01-3f9c2d has no playlists; land some and train, or ask for another scene",
        413: "the body is larger than 1048576 bytes; send fewer events at once",
        415: "content type 'text/plain'; send application/json",
        503: "no release is in service yet; `make pipeline` or the DAG release_models makes one",
    },
    "/similar": {
        400: "limit 200 is not between 1 and 100, what scene similar gives at once",
        404: "track 't999999' is not in release 2026-07-01-3f9c2d; give the id of another",
        413: "the body is larger than 1048576 bytes; send fewer events at once",
        415: "content type 'text/plain'; send application/json",
        503: "no release is in service yet; `make pipeline` or the DAG release_models makes one",
    },
    "/events": {
        400: "events: List should have at least 1 item after validation, not 0",
        413: "the body is larger than 1048576 bytes; send fewer events at once",
        415: "content type 'text/plain'; send application/json",
        503: "1024 reports are waiting for the disk; send the events again in a second",
    },
}


def event_schema() -> Spec:
    """The schema of one event of a report: the contract's columns, all but four optional."""
    properties = {name: COLUMN_SCHEMAS[name] for name in COLUMNS}
    properties["action"] = properties["action"] | {"enum": list(actions())}
    return {
        "type": "object",
        "required": ["user_id", "target_type", "target_id", "action"],
        "properties": properties,
        "example": REQUEST_EXAMPLES["/events"]["A play to the end"]["events"][0],
    }


def described(derived: Spec) -> Spec:
    """The OpenAPI document of the service, from the one that BentoML derives."""
    spec: Spec = json.loads(json.dumps(derived))
    scenes = "\n".join(f"| `{scene.name}` | {scene.of} | {scene.limit} | {scene.most} |" for scene in SCENES.values())
    spec["info"] = {"title": "Segue recommender", "version": _version(), "description": OVERVIEW + scenes}
    del spec["servers"]  # it is the page's own
    spec["tags"] = [{"name": name, "description": what} for name, what in TAGS.items()]
    spec["paths"]["/status"] = {"get": _status()}
    paths = {path: spec["paths"][path] for path in OPERATIONS}
    for path, operations in paths.items():
        for operation in operations.values():
            _tell_what_may_be_null(path, operation, spec["components"]["schemas"])
    spec["components"] = _without_null_types(spec["components"])
    for path, (tag, summary) in OPERATIONS.items():
        (operation,) = paths[path].values()
        operation |= {"tags": [tag], "summary": summary, "description": DETAILS[path]}
        if path in REQUEST_EXAMPLES:
            _with_examples(path, operation)
    spec["paths"] = paths
    spec["components"] = {
        "schemas": _used(spec),
        "securitySchemes": {KEY: {"type": "http", "scheme": "bearer", "description": "Where the service has keys"}},
    }
    return spec


def _version() -> str:
    try:
        return version("segue")
    except PackageNotFoundError:  # a bento has the source and no package
        return "bento"


def _tell_what_may_be_null(path: str, operation: Spec, schemas: Spec) -> None:
    """Take the columns that may be null from the named schemas: in the operations BentoML leaves the null out."""
    contents = [answer.get("content", {}) for answer in operation["responses"].values()]
    contents.append(operation.get("requestBody", {}).get("content", {}))
    for content in contents:
        for media in content.values():
            schema = media["schema"]
            name = schema.get("title", "")
            known = schemas.get(f"{path[1:]}__Input" if name == "Input" else name, {}).get("properties", {})
            for column, told in known.items():
                if NULL in told.get("anyOf", ()) and column in schema.get("properties", {}):
                    schema["properties"][column] = _without_null_types(told)


def _without_null_types(schema: Any) -> Any:
    """The same in the words of OpenAPI 3.0, which knows `nullable` and no type of null."""
    if isinstance(schema, list):
        return [_without_null_types(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: _without_null_types(value) for key, value in schema.items()}
    choices = inner.get("anyOf", [])
    if NULL not in choices:
        return inner
    others = [one for one in inner.pop("anyOf") if one != NULL]
    # What stands beside a reference is not read.
    plain = others[0] if len(others) == 1 and "$ref" not in others[0] else {"anyOf": others}
    return plain | inner | {"nullable": True}


def _with_examples(path: str, operation: Spec) -> None:
    examples = {name: {"value": value} for name, value in REQUEST_EXAMPLES[path].items()}
    operation["requestBody"]["content"]["application/json"]["examples"] = examples
    answer = operation["responses"]["200"]
    answer["description"] = "The answer"
    answer["content"]["application/json"]["example"] = ANSWER_EXAMPLES[path]
    told = dict(sorted((ERROR_EXAMPLES[path] | AT_THE_DOOR).items()))
    operation["responses"] = {"200": answer} | {str(status): _error(status, error) for status, error in told.items()}
    operation["security"] = [{}, {KEY: []}]


def _status() -> Spec:
    """The operation that is answered before BentoML, which does not know of it."""
    schema = {"type": "object", "required": list(STATUS)}
    answer = {"description": "The answer", "content": {"application/json": {"schema": schema, "example": STATUS}}}
    told = {str(status): _error(status, error) for status, error in AT_THE_DOOR.items()}
    return {"responses": {"200": answer} | told, "security": [{}, {KEY: []}]}


def _error(status: int, error: str) -> Spec:
    schema = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
    example = {"error": error}
    return {"description": ERRORS[status], "content": {"application/json": {"schema": schema, "example": example}}}


def _used(spec: Spec) -> dict[str, Spec]:
    """The schemas that the paths refer to, and those that these refer to; the others are errors of a generic service."""
    schemas, text = spec["components"]["schemas"], json.dumps(spec["paths"])
    used: dict[str, Spec] = {}
    while more := {
        name: schema
        for name, schema in schemas.items()
        if name not in used and f'"#/components/schemas/{name}"' in text
    }:
        used |= more
        text = json.dumps(more)
    return used
