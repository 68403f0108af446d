"""What the API's page says: in words, of every path, column and error.

Knows nothing about the shape of an OpenAPI document.
"""

from __future__ import annotations

from typing import Any

from serving.events.event_schema import TARGET_TYPES

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

COLUMN_SCHEMAS: dict[str, dict[str, Any]] = {
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
