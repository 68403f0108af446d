"""Phrases of facet values in queries."""

import os
import sys

import pytest

from recommender.search.grammar import FULL_WEIGHT
from recommender.search.lexicon import Lexicon, known_phrases
from recommender.search.text_normalization import normalize
from tests.support.pipeline_commands import run_to_end


@pytest.fixture(scope="module")
def lexicon():
    return Lexicon(known_phrases())


def values(lexicon, query):
    return [{value for _, value in concept.weights} for concept in lexicon.read(normalize(query)).wanted]


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
        ("play something playful", [{"happy"}]),  # it has the stem of a stop word
    ],
)
def test_concepts(lexicon, query, expected):
    assert values(lexicon, query) == expected


@pytest.mark.parametrize(
    "query",
    [
        *("not sad", "without any sad songs", "not too sad", "no boring old sad songs", "sad songs excluded"),
        *("不要悲伤的歌", "不太伤感", "keine traurigen Lieder", "nada triste", "des chansons pas trop tristes"),
        *("悲しくない曲", "슬프지 않은 노래", "悲伤的歌除外", "Traurige Lieder bitte nicht"),
    ],
)
def test_negation(lexicon, query):
    reading = lexicon.read(normalize(query))
    assert not reading.wanted and not reading.content
    assert [concept.weights for concept in reading.unwanted] == [{("emotions", "sad"): 1.0}]


@pytest.mark.parametrize(
    ("query", "wanted", "unwanted"),
    [
        ("why not, sad songs", ["sad"], []),
        ("not sad, korean", ["Korean"], ["sad"]),
        ("not sad but happy", ["happy"], ["sad"]),
        ("no rap for the gym", ["sport"], ["rap"]),
        ("no jazz, rap or metal", [], ["jazz", "rap", "metal"]),
        ("no rap and happy songs", ["happy"], ["rap"]),
        ("no sad songs and happy ones", ["happy"], ["sad"]),
        ("not sad and lonely", [], ["sad", "lonely"]),
        ("ジャズとロック以外", [], ["jazz", "rock"]),
        ("rock without vocals", ["rock", "instrumental"], []),
        ("nothing but jazz", ["jazz"], []),
        ("EDM, no dance", ["electronic"], ["dance"]),
        ("energetic, not wild", ["excited"], []),  # what is wanted wins
        ("unromantic", [], ["romantic"]),
        ("the opposite of sad", ["happy"], ["sad"]),
        ("not k-pop", [], ["Korean"]),  # pop is only suggested
    ],
)
def test_what_a_negation_is_about(lexicon, query, wanted, unwanted):
    reading = lexicon.read(normalize(query))
    for concepts, expected in ((reading.wanted, wanted), (reading.unwanted, unwanted)):
        assert [value for concept in concepts for _, value in concept.weights] == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("fröhliche Lieder zum Autofahren", ["happy", "driving"]),
        ("canciones románticas en coreano", ["romantic", "Korean"]),
        ("rock japonais énergique pour courir", ["rock", "Japanese", "excited", "sport"]),
        ("勉強に集中できる静かな曲", ["study", "quiet"]),
        ("공부할 때 듣는 조용한 재즈", ["study", "quiet", "jazz"]),
    ],
)
def test_other_languages(lexicon, query, expected):
    reading = lexicon.read(normalize(query))
    assert [value for concept in reading.wanted for _, value in concept.weights] == expected and not reading.unread


@pytest.mark.parametrize(
    ("language", "template"),
    [
        *(("", "the opposite of {}"), ("", "{}不要"), ("de", "nicht zu {}"), ("es", "que no sea {}")),
        *(("fr", "pas trop {}"), ("ja", "{}ではない曲"), ("ko", "{} 말고")),
    ],
)
def test_every_phrase_is_negated_by_words_of_its_language(lexicon, language, template):
    phrases = [phrase for phrase in known_phrases() if phrase.language == language and phrase.weight == FULL_WEIGHT]
    for phrase in phrases:
        reading = lexicon.read(normalize(template.format(phrase.text)))
        assert any(phrase.value in concept.weights for concept in reading.unwanted), phrase


@pytest.mark.parametrize("query", ["sad songs that die young", "the scond leter orchestra"])
def test_words_of_other_languages_do_not_hide_english_ones(lexicon, query):
    reading = lexicon.read(normalize(query))
    assert len(reading.wanted) == 1 and len(reading.unread[0]) == 2


def test_words_of_names_are_not_corrected(lexicon):
    assert not lexicon.read("koreen", lambda word: word == "koreen").wanted
    assert lexicon.read("koreen").wanted


def test_unread_words_and_content(lexicon):
    reading = lexicon.read(normalize("please play golden lantern, some happy xylophone without theremin"))
    assert reading.unread == [["golden", "lantern"], ["xylophone"]] and reading.refused == [["theremin"]]
    assert reading.content == ["golden", "lantern", "happy", "xylophone"]


def test_every_value_that_listeners_read_has_phrases():
    from serving.messages import load_messages

    assert {value for _, value in (phrase.value for phrase in known_phrases())} == set(load_messages("en")["facets"])


@pytest.mark.parametrize("seed", ["1", "2"])
def test_order_of_merged_values_does_not_depend_on_hashes(seed):
    script = (
        "from recommender.search.lexicon import Lexicon, known_phrases\n"
        "from recommender.search.text_normalization import normalize\n"
        "for concept in Lexicon(known_phrases()).read(normalize('calm quiet songs')).wanted:\n"
        "    print([value for _, value in concept.weights])\n"
    )
    environment = os.environ | {"PYTHONHASHSEED": seed}
    assert run_to_end([sys.executable, "-c", script], environment) == "['relaxed', 'quiet']\n"
