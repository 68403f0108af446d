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


def stems(words: list[str]) -> list[str]:
    """The English stem of each word; other words stay."""
    found = _stemmer().analyze(" ".join(words))
    return found if len(found) == len(words) else words


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
def _stemmer() -> tantivy.TextAnalyzer:
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace())
    return builder.filter(tantivy.Filter.stemmer("english")).build()
