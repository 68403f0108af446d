"""Normalization and tokens."""

import pytest

from recommender.search.text_normalization import join, normalize, stems, tokens


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("  Café　ROCK’N’ROLL ", "cafe rocknroll"),
        ("放點安靜的歌", "放点安静的歌"),
        ("Ｋ－ＰＯＰ", "k-pop"),
        ("Straße", "strasse"),
    ],
)
def test_case_accents_width_apostrophes_and_characters_do_not_matter(text, normalized):
    assert normalize(text) == normalized


def test_tokens_are_words_and_single_chinese_characters():
    assert tokens(normalize("R&B, K-pop 和 90's 的歌")) == ["r&b", "k", "pop", "和", "90s", "的", "歌"]
    assert stems(["running", "runs", "跑"]) == ["run", "run", "跑"]
    assert join(["happy", "songs", "快", "乐"]) == "happy songs快乐"
