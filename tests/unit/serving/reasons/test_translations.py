"""Every reason that can be said has a counterpart, and what it names comes through as it is."""

from __future__ import annotations

import re

import pytest

from config import settings
from serving.reasons.translations import NUMERIC_PLACEHOLDERS, PATH_SENTENCES, SENTENCES, translate_reason
from training.recall.knowledge_graph import path_explanations as graph

SAID = re.compile(r'f?"(because [^"]*)"')
SOURCES = [
    file
    for folder in ("training/recall", "serving")
    for file in sorted((settings.ROOT / folder).glob("*.py"))
    if file.name not in ("reason_language.py", "knowledge_graph_sentence.py") and not file.name.startswith("openapi")
]


def shape(sentence: str) -> str:
    """A sentence or a piece of code that makes one, with `{}` for what it names."""
    return re.sub(r"\{[^{}]*\}", "{}", sentence)


def made() -> set[str]:
    """The sentences as the code makes them."""
    return {shape(one) for file in SOURCES for one in SAID.findall(file.read_text(encoding="utf-8"))}


def test_every_sentence_of_channels_and_service_has_a_counterpart() -> None:
    known = {shape(one) for one in SENTENCES}
    assert len(made()) > 10
    assert made() - known == set()


def test_every_path_of_the_music_graph_has_a_counterpart() -> None:
    known = {shape(one) for one in PATH_SENTENCES}
    assert {
        shape(one) for one in (*graph.TWO_STEP_TEMPLATES.values(), *graph.ONE_STEP_TEMPLATES.values())
    } - known == set()


@pytest.mark.parametrize("english", SENTENCES)
def test_names_come_through_whatever_they_hold(english: str) -> None:
    for name in ("Song 1 by A, B", "Just now: because", "夜曲 by 周杰伦", "{x} 100%"):
        names = {key: "12" if key in NUMERIC_PLACEHOLDERS else name for key in re.findall(r"\{(\w+)\}", english)}
        assert translate_reason("zh", english.format(**names)) == SENTENCES[english].format(**names)
        assert translate_reason("en", english.format(**names)) == english.format(**names)


def test_a_path_is_said_step_by_step() -> None:
    said = "because you listen to Song 1 by A, B: A and C both sang for the soundtrack of Film, the second, people play D next to C"
    assert (
        translate_reason("zh", said)
        == "因为你在听 Song 1 by A, B：A 和 C 都为 Film, the second 献唱，人们会接着 C 播放 D"
    )


@pytest.mark.parametrize("said", ["because you listen to A: A covers B", "", "for no reason"])
def test_what_has_no_counterpart_keeps_its_words(said: str) -> None:
    assert said.removeprefix("because you listen to ") in translate_reason("zh", said)
