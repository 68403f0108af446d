"""Why an item is recommended: a message code with parameters. The service renders it in the language of the request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Union

from recommender.catalog.vocabulary import Vocabulary

ReasonParameter = Union[str, int, tuple[str, ...], "Reason", tuple["Reason", ...]]
"""A name as text, a number, facet values (genres, styles, ...; translated and joined), a phrase, or a list of phrases.
"""


@dataclass(frozen=True)
class Reason:
    """A message code and its parameters, independent of any language.

    Attributes:
        code: Key of the message in `serving/messages/catalogs/<language>.json`.
        parameters: Placeholder of the message → value.
    """

    code: str
    parameters: Mapping[str, ReasonParameter] = field(default_factory=dict)

    def __hash__(self) -> int:
        """Hash of the code; reasons that differ only in parameters collide."""
        return hash(self.code)

    def to_json(self) -> dict[str, Any]:
        """This reason as JSON objects, lists, texts and numbers."""
        return {"code": self.code, "parameters": {name: _encode(value) for name, value in self.parameters.items()}}

    @classmethod
    def from_json(cls, content: Any) -> Reason:
        """The reason that `to_json` encoded.

        Raises:
            ValueError: `content` has another structure.
        """
        if not isinstance(content, dict) or not isinstance(content.get("parameters"), dict):
            raise ValueError(f"not a reason: {str(content)[:80]!r}")
        return cls(str(content["code"]), {str(name): _decode(value) for name, value in content["parameters"].items()})


LIKED = Reason("liked")
NEAR_INTERESTS = Reason("near_interests")
RECENT_ACTIVITY = Reason("recent_activity")
"""For a user who has neither listened to nor liked anything."""


def track_phrase(vocabulary: Vocabulary, item: int) -> Reason | str:
    """A track by title and main artist, as far as they are known."""
    artist = str(vocabulary.artist_names_A[vocabulary.artist_of_track_V[item]])
    return name_phrase(str(vocabulary.titles_V[item]), artist)


def name_phrase(title: str, artist: str) -> Reason | str:
    """A track with this title by this artist, of which either may be empty."""
    if artist:
        return (
            Reason("track_by_artist", {"title": title, "artist": artist})
            if title
            else Reason("untitled_track_by_artist", {"artist": artist})
        )
    return title or Reason("untitled_track")


def _encode(value: ReasonParameter) -> Any:
    if isinstance(value, Reason):
        return value.to_json()
    return [_encode(one) for one in value] if isinstance(value, tuple) else value


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        return Reason.from_json(value)
    if isinstance(value, list):
        return tuple(_decode(one) for one in value)
    if isinstance(value, str | int):
        return value
    raise ValueError(f"not a parameter of a reason: {str(value)[:80]!r}")
