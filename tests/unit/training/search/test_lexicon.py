"""Phrases of facet values in queries."""

import os
import subprocess
import sys

import pytest

from training.search.lexicon import Lexicon, known_phrases, phrases_of
from training.search.text_normalization import normalize


@pytest.fixture(scope="module")
def lexicon():
    return Lexicon(known_phrases())


def values(lexicon, query):
    return [{value for _, value in concept.weights} for concept in lexicon.read(normalize(query)).concepts]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("sad Cantonese songs", [{"sad"}, {"Cantonese"}]),
        ("songs to run to", [{"sport"}]),
        ("放點傷感的粵語歌", [{"sad"}, {"Cantonese"}]),
        ("heavy metal", [{"metal"}]),
        ("melanchly", [{"sad"}]),
        ("chill一点的日文歌", [{"relaxed"}, {"Japanese"}]),
        ("坐地铁上班", [{"metro"}, {"work"}]),  # not 地铁上, 班
        ("peaceful and serene", [{"quiet", "relaxed"}]),  # synonyms are one concept
        ("play something playful", [{"happy"}]),  # its stem is that of a stop word
    ],
)
def test_concepts(lexicon, query, expected):
    assert values(lexicon, query) == expected


@pytest.mark.parametrize("query", ["not sad", "不要悲伤的歌", "without any sad songs"])
def test_negation(lexicon, query):
    (concept,) = lexicon.read(normalize(query)).concepts
    assert concept.is_excluded and concept.weights == {("emotions", "sad"): 1.0}


def test_a_negation_ends_with_its_clause(lexicon):
    (concept,) = lexicon.read(normalize("why not, sad songs")).concepts
    assert not concept.is_excluded


def test_words_of_names_are_not_corrected(lexicon):
    assert not lexicon.read("koreen", lambda word: word == "koreen").concepts
    assert lexicon.read("koreen").concepts


def test_unread_words_and_content(lexicon):
    reading = lexicon.read(normalize("please play golden lantern, some happy xylophone"))
    assert reading.unread == [["golden", "lantern"], ["xylophone"]]
    assert reading.content == ["golden", "lantern", "happy", "xylophone"]


def test_a_value_without_phrases_has_its_own_name():
    reading = Lexicon(phrases_of([("styles", "zydeco"), ("emotions", "sad")])).read("sad zydeco")
    assert [set(concept.weights) for concept in reading.concepts] == [{("emotions", "sad")}, {("styles", "zydeco")}]


def test_every_value_that_listeners_read_has_phrases():
    from serving.messages.catalog import load_messages

    assert {value for _, value in (phrase.value for phrase in known_phrases())} == set(load_messages("en")["facets"])


@pytest.mark.parametrize("seed", ["0", "1", "2", "3"])
def test_order_of_merged_values_does_not_depend_on_hashes(seed):
    script = (
        "from training.search.lexicon import Lexicon, known_phrases\n"
        "from training.search.text_normalization import normalize\n"
        "for concept in Lexicon(known_phrases()).read(normalize('calm quiet songs')).concepts:\n"
        "    print([value for _, value in concept.weights])\n"
    )
    environment = os.environ | {"PYTHONHASHSEED": seed}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "['relaxed', 'quiet']\n"
