"""The message catalogs are complete in every language, and reasons are rendered with their parameters unchanged."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from typing import Any

import pytest

from config import settings
from ingestion.simulation import facets
from recommender.recall.knowledge_graph.path_explanations import SHARED_TARGET_CODES, STEP_CODES
from recommender.recall.realtime import NAMING_CODES
from recommender.recall.reason import MONTHS, Reason
from recommender.recall.registry import CHANNELS
from recommender.slate.scene_settings import SCENES
from serving.messages import LANGUAGES, Language, load_messages, render_reason


def texts(messages: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every text of a catalog with its path of keys."""
    for key, value in messages.items():
        if isinstance(value, dict):
            yield from texts(value, (*path, key))
        else:
            yield (*path, key), value


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def produced_codes() -> set[str]:
    """Codes of every `Reason("...")` in the sources, and those that channels look up in tables."""
    files = [file for folder in ("recommender", "serving") for file in (settings.ROOT / folder).rglob("*.py")]
    codes = {code for file in files for code in re.findall(r'\bReason\(\s*"(\w+)"', file.read_text(encoding="utf-8"))}
    return codes | {*SHARED_TARGET_CODES.values(), *STEP_CODES.values(), *NAMING_CODES.values(), *MONTHS}


def test_catalogs_have_the_same_keys_and_placeholders() -> None:
    catalogs = [{path: placeholders(text) for path, text in texts(load_messages(language))} for language in LANGUAGES]
    assert len(catalogs) == 2 and len(catalogs[0]) > 150
    assert catalogs[0] == catalogs[1]
    assert all(text for language in LANGUAGES for _, text in texts(load_messages(language)))


def test_every_code_has_a_message_and_every_message_a_code() -> None:
    assert produced_codes() == set(load_messages("en")["reasons"])


def test_channels_scenes_and_facets_have_names() -> None:
    messages = load_messages("zh")
    assert set(messages["channels"]) >= {*CHANNELS, "playlists", "mlogs"}
    assert set(messages["scenes"]) >= set(SCENES)
    assert set(messages["facets"]) >= {
        *facets.LANGUAGES,
        *facets.STYLES,
        *facets.SCENES,
        *facets.EMOTIONS,
        *facets.THEMES,
    }


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("code", sorted(load_messages("en")["reasons"]))
def test_parameters_appear_unchanged(code: str, language: Language) -> None:
    template = load_messages(language)["reasons"][code]
    for text in ("Song 1 by A, B", "Just now: because", "夜曲", "{x} 100%"):
        reason = Reason(code, dict.fromkeys(placeholders(template), text))
        assert render_reason(reason, language) == re.sub(r"\{\w+\}", lambda _, text=text: text, template)


STEPS = (
    Reason("shared_facet", {"x": "A", "y": "C", "z": ("britpop",)}),
    Reason("played_next_to", {"x": "C", "y": Reason("track_by_artist", {"title": "D", "artist": "E, F"})}),
)


@pytest.mark.parametrize(
    ("reason", "english", "chinese"),
    [
        (
            Reason("listens_to_path", {"start": "A", "steps": STEPS}),
            "because you listen to A: A and C are both britpop, people play D by E, F next to C",
            "因为你在听 A：A 和 C 都属于 英伦，人们会接着 C 播放 E, F 的《D》",
        ),
        (
            Reason("listens_to_interest", {"interest": ("Cantonese", "unlisted genre")}),
            "because you listen to Cantonese · unlisted genre",
            "因为你在听 粤语 · unlisted genre",
        ),
        *(
            (
                Reason("last_listened", {"days": days}),
                f"because you last listened to it {english}",
                f"因为你上次听是在{chinese}",
            )
            for days, english, chinese in (
                (1, "yesterday", "昨天"),
                (13, "13 days ago", "13 天前"),
                (14, "2 weeks ago", "2 周前"),
                (59, "8 weeks ago", "8 周前"),
                (60, "2 months ago", "2 个月前"),
                (729, "24 months ago", "24 个月前"),
                (800, "2 years ago", "2 年前"),
            )
        ),
        (None, "", ""),
        (Reason("no_such_code"), "", ""),
    ],
)
def test_phrases_facets_steps_and_times_are_rendered_in_the_language(reason, english, chinese) -> None:
    assert (render_reason(reason, "en"), render_reason(reason, "zh")) == (english, chinese)
