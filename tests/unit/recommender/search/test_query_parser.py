"""What queries want, what they refuse, and what is not understood."""

import numpy as np
import pytest

from recommender.search.lexicon import FacetPhrase, known_phrases
from recommender.search.phrase_similarity import MeaningMatcher
from recommender.search.query_parser import QueryParser


@pytest.fixture(scope="module")
def parser():
    return QueryParser(known_phrases(), np.zeros((0, 1), dtype=np.float32), None, None)


def read(parser, text):
    query = parser.parse(text)
    wanted, refused = (
        " ".join(sorted({value for concept in concepts for _, value in concept.named}))
        for concepts in (query.wanted, query.unwanted)
    )
    return wanted, refused, list(query.unknown)


@pytest.mark.parametrize(
    ("query", "wanted", "refused"),
    [
        # phrases and negations
        ("sad Cantonese songs", "Cantonese sad", ""),
        ("songs to run to", "sport", ""),
        ("放點傷感的粵語歌", "Cantonese sad", ""),
        ("heavy metal", "metal", ""),
        ("melanchly", "sad", ""),
        ("chill一点的日文歌", "Japanese relaxed", ""),
        ("peaceful and serene", "quiet relaxed", ""),  # synonyms are one concept
        ("play something playful", "happy", ""),  # it has the stem of a stop word
        ("not sad", "", "sad"),
        ("without any sad songs", "", "sad"),
        ("not too sad", "", "sad"),
        ("sad songs excluded", "", "sad"),
        ("不要悲伤的歌", "", "sad"),
        ("不太伤感", "", "sad"),
        ("keine traurigen Lieder", "", "sad"),
        ("nada triste", "", "sad"),
        ("des chansons pas trop tristes", "", "sad"),
        ("悲しくない曲", "", "sad"),
        ("슬프지 않은 노래", "", "sad"),
        ("悲伤的歌除外", "", "sad"),
        ("Traurige Lieder bitte nicht", "", "sad"),
        ("why not, sad songs", "sad", ""),
        ("not sad, korean", "Korean", "sad"),
        ("not sad but happy", "happy", "sad"),
        ("no rap for the gym", "sport", "rap"),
        ("no jazz, rap or metal", "", "jazz metal rap"),
        ("no rap and happy songs", "happy", "rap"),
        ("no sad songs and happy ones", "happy", "sad"),
        ("not sad and lonely", "", "lonely sad"),
        ("ジャズとロック以外", "", "jazz rock"),
        ("rock without vocals", "instrumental rock", ""),
        ("nothing but jazz", "jazz", ""),
        ("EDM, no dance", "electronic", "dance"),
        ("energetic, not wild", "excited", ""),  # what is wanted wins
        ("unromantic", "", "romantic"),
        ("the opposite of sad", "happy", "sad"),
        ("not k-pop", "", "Korean"),  # pop is only suggested
        ("fröhliche Lieder zum Autofahren", "driving happy", ""),
        ("canciones románticas en coreano", "Korean romantic", ""),
        ("rock japonais énergique pour courir", "Japanese excited rock sport", ""),
        ("勉強に集中できる静かな曲", "quiet study", ""),
        ("공부할 때 듣는 조용한 재즈", "jazz quiet study", ""),
        # neither … nor
        ("neither punk nor folk", "", "folk punk"),
        ("ni punk ni folk", "", "folk punk"),
        ("weder traurig noch einsam", "", "lonely sad"),
        ("je n'aime ni le blues ni le jazz", "", "blues jazz"),
        ("que no sea ni punk ni folk", "", "folk punk"),
        ("既不要民谣也不要朋克", "", "folk punk"),
        ("爵士、民谣都不要", "", "folk jazz"),
        ("パンクもフォークもいらない", "", "folk punk"),
        ("パンクでもフォークでもない曲", "", "folk punk"),
        ("재즈도 블루스도 싫어", "", "blues jazz"),
        # A, not B
        ("ブルースじゃなくてジャズ", "jazz", "blues"),
        ("暗くなくて、静かな曲", "quiet", "sad"),
        ("블루스가 아니라 재즈", "jazz", "blues"),
        ("nicht traurig, sondern ruhig", "quiet", "sad"),
        # rather A than B
        ("more jazz than blues", "jazz", "blues"),
        ("prefer jazz to blues", "jazz", "blues"),
        ("more calm music to relax", "quiet relaxed", ""),
        ("plutôt du jazz que du blues", "jazz", "blues"),
        ("lieber Jazz als Blues", "jazz", "blues"),
        ("lieber Jazz als Hintergrund", "jazz", ""),
        ("más bien jazz que blues", "jazz", "blues"),
        ("与其听蓝调不如听爵士", "jazz", "blues"),
        ("ブルースよりジャズ", "jazz", "blues"),
        ("블루스보다 재즈", "jazz", "blues"),
        # all but
        ("anything besides jazz", "", "jazz"),
        ("en dehors du jazz", "", "jazz"),
        ("재즈랑 블루스 빼고", "", "blues jazz"),
        # verbs
        ("悲しい曲は聴きたくない", "", "sad"),
        ("컨트리는 듣고 싶지 않아", "", "country"),
        ("j'en ai marre du jazz", "", "jazz"),
        ("estoy harta del jazz", "", "jazz"),
        # symbols
        ("🚫 jazz", "", "jazz"),
        ("jazz ❌", "", "jazz"),
        ("😢", "sad", ""),
        # two kinds of negation cancel, two words of a kind do not
        ("I don't dislike jazz", "jazz", ""),
        ("nothing against jazz", "jazz", ""),
        ("nothing except jazz", "jazz", ""),
        ("not bad jazz", "jazz", ""),
        ("我不讨厌爵士", "jazz", ""),
        ("除了爵士都不要", "jazz", ""),
        ("ジャズは嫌いじゃない", "jazz", ""),
        ("ジャズ以外いらない", "jazz", ""),
        ("재즈 싫지 않아", "jazz", ""),
        ("no quiero nada de jazz", "", "jazz"),
        ("je ne veux rien de triste, jamais", "", "sad"),
        # vocals
        ("with vocals", "", "instrumental"),
        ("fewer vocals", "instrumental", ""),
        ("sans voix", "instrumental", ""),
        ("ボーカル入り", "", "instrumental"),
        ("not instrumental", "", "instrumental"),
        # parts of words
        ("chansons d'amour", "romantic", ""),
        ("Jazzmusik", "jazz", ""),
        ("슬프지않은 재즈와 블루스", "blues jazz", "sad"),
    ],
)
def test_wanted_and_refused(parser, query, wanted, refused):
    assert read(parser, query) == (wanted, refused, [])


@pytest.mark.parametrize(
    ("query", "wanted", "refused", "unknown"),
    [
        ("jazz flurbl", "jazz", "", ["flurbl"]),
        ("坐地铁上班", "metro work", "", ["坐"]),  # not 地铁上, 班
        ("no flurbl or jazz", "", "jazz", ["flurbl"]),
        ("du Jazz très Énervéx", "jazz", "", ["Énervéx"]),
        ("플러블 말고", "", "", ["플러블"]),
        ("バースデーの静かな曲", "quiet", "", ["バースデー"]),  # バー is a part of the word
        ("静かで儚い曲", "quiet", "", ["儚"]),
        ("怖い曲はいらない", "", "", ["怖"]),
        ("no ballads", "", "", ["ballads"]),  # moods that it only suggests are not refused
        ("🦄", "", "", ["🦄"]),
        ("Please", "", "", ["Please"]),
    ],
)
def test_what_is_not_understood_is_in_the_words_of_the_user(parser, query, wanted, refused, unknown):
    assert read(parser, query) == (wanted, refused, unknown)


def test_a_text_is_understood_if_the_nearest_phrases_agree():
    phrases = [
        FacetPhrase(("emotions", value), text, 1.0) for value, text in (("sad", "a"), ("sad", "b"), ("happy", "c"))
    ]
    similarity_PD = np.array([[0.9, 0.7], [0.8, 0.6], [0.1, 0.7]], dtype=np.float32)
    matcher = MeaningMatcher(
        phrases, similarity_PD, lambda texts: np.eye(2, dtype=np.float32)[[int(one) for one in texts]]
    )
    assert [is_certain for _, is_certain in matcher.match(["0", "1"])] == [True, False]
