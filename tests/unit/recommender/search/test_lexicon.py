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
        refused = lexicon.read(normalize(template.format(phrase.text))).unwanted
        assert any(phrase.value in concept.weights for concept in refused), phrase


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
    assert run_to_end([sys.executable, "-c", script], os.environ | {"PYTHONHASHSEED": seed}) == "['relaxed', 'quiet']\n"
