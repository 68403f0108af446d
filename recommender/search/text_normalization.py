"""Normalization and tokens of queries, names and phrases.

A token is a word of an alphabet or one Chinese or Japanese character. Comparable tokens do not depend on case, accents,
width, apostrophes or on whether Chinese is written in traditional or simplified characters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import opencc
import tantivy

CHINESE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_HAS_CHINESE = re.compile(f"[{CHINESE}]")
_TOKEN = re.compile(f"[{CHINESE}]|[^\\W{CHINESE}_]+(?:&[^\\W{CHINESE}_]+)*")
_STEMMERS = {"": "english", "de": "german", "es": "spanish", "fr": "french"}
MIN_STEM_LENGTH = 4  # in languages other than English, whose shorter stems are words of other languages
_KOREAN_ENDING = re.compile("(?<=.)(?:에서|으로|하는|하지|이나|까지|부터|[을를이가은는의에로와과도만할한인])$")
_APOSTROPHES = re.compile("['’`´]")
_ACCENTS = re.compile("(?<=[a-z])[\u0300-\u036f]+")


def normalize(text: str) -> str:
    """Text in lower case and simplified characters, without accents and apostrophes, with single spaces."""
    text = _ACCENTS.sub("", unicodedata.normalize("NFKD", text.casefold()))
    text = _APOSTROPHES.sub("", unicodedata.normalize("NFKC", text))
    if _HAS_CHINESE.search(text):
        text = _simplifier().convert(text)
    return " ".join(text.split())


def tokens(normalized: str) -> list[str]:
    """Tokens of a normalized text, in order."""
    return _TOKEN.findall(normalized)


def stems(words: list[str], language: str = "") -> list[str]:
    """The stem of each word in a language, by default English; Korean words without particles; others stay."""
    if language == "ko":
        return [_KOREAN_ENDING.sub("", word) for word in words]
    found = _stemmer(_STEMMERS[language]).analyze(" ".join(words)) if language in _STEMMERS else words
    if len(found) != len(words):
        return words
    return [
        stem if len(stem) >= MIN_STEM_LENGTH or not language else word for stem, word in zip(found, words, strict=True)
    ]


def index_terms(normalized: str) -> list[str]:
    """Terms under which a name is found: its tokens, and the pairs of adjacent Chinese or Japanese characters."""
    matches = list(_TOKEN.finditer(normalized))
    pairs = [
        first.group() + second.group()
        for first, second in pairwise(matches)
        if first.end() == second.start() and is_chinese(first.group()) and is_chinese(second.group())
    ]
    return [match.group() for match in matches] + pairs


def join(words: Sequence[str]) -> str:
    """Words of an alphabet with spaces between them, Chinese and Japanese characters without."""
    return "".join(f" {word}" if place and not is_chinese(word) else word for place, word in enumerate(words))


def is_chinese(token: str) -> bool:
    """Whether the token is a Chinese or Japanese character, or begins with one."""
    return _HAS_CHINESE.match(token) is not None


@cache
def _simplifier() -> opencc.OpenCC:
    return opencc.OpenCC("t2s")


@cache
def _stemmer(language: str) -> tantivy.TextAnalyzer:
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace())
    return builder.filter(tantivy.Filter.stemmer(language)).build()
