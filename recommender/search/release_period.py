"""Periods of release in a query: years, ranges, decades, and words such as "new" or "九十年代".

Where a phrase is ambiguous, the stricter meaning is taken: "after 2018" begins in 2019, "early 2010s" ends in 2013.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

BEGIN, END = date(1000, 1, 1), date(9999, 12, 31)
MARKS = "\ue000-\ue0ff"
"""Private characters, of which one replaces each period that was read, so that its neighbors do not become adjacent."""
FIRST_MARK = 0xE000
NEW_DAYS = (90, 180, 365, 730)
OLD_YEARS = (20, 15, 12, 10)
EARLY, MIDDLE, LATE = (0, 3), (4, 6), (7, 9)


@dataclass(frozen=True)
class Period:
    """Days of release that a query names; both ends are included."""

    ranges: tuple[tuple[date, date], ...]
    """Several ranges, each within the next, mean that the first ones fit best ("new")."""
    words: str


def read_periods(text: str, today: date) -> tuple[list[Period], str]:
    """The periods in a normalized query, and the query with the mark of the place of each period instead.

    Args:
        text: The query, see `text_normalization.normalize`.
        today: The day that "new" and "last year" refer to.
    """
    text = _MARK.sub(" ", text)
    text = _CHINESE_YEAR.sub(lambda found: "".join(_DIGITS[digit] for digit in found[1]) + "年", text)
    periods: list[Period] = []
    for pattern, read in _RULES:

        def take(found: re.Match[str], read: _Read = read) -> str:
            ranges = read(found, today)
            if not ranges:
                return found[0]
            periods.append(Period(ranges, found[0].strip(" -")))
            return f" {chr(FIRST_MARK + len(periods) - 1)} "

        text = pattern.sub(take, text)
    return periods, text


Ranges = tuple[tuple[date, date], ...]
_Read = Callable[[re.Match[str], date], Ranges]

_DIGITS = {**{digit: str(number) for number, digit in enumerate("零一二三四五六七八九")}, "〇": "0"}
_NUMBER_WORDS = {
    **{"two": 2, "couple of": 2, "few": 3, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8},
    **{"nine": 9, "ten": 10, "twenty": 20, "两": 2, "几": 3, "二": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7},
    **{"八": 8, "九": 9, "十": 10, "二十": 20},
}
_DECADE_WORDS = {
    **{"fifties": 1950, "sixties": 1960, "seventies": 1970, "eighties": 1980, "nineties": 1990, "noughties": 2000},
    **{"two thousands": 2000, "twenty tens": 2010, "twenty-tens": 2010, "twenty twenties": 2020, "tens": 2010},
    **{"五十": 1950, "六十": 1960, "七十": 1970, "八十": 1980, "九十": 1990, "零零": 2000, "〇〇": 2000, "一零": 2010},
    **{"一〇": 2010, "五零": 1950, "六零": 1960, "七零": 1970, "八零": 1980, "九零": 1990, "二零": 2020, "一十": 2010},
}
_PARTS = {
    **{"early": EARLY, "beginning of the": EARLY, "mid": MIDDLE, "middle of the": MIDDLE, "late": LATE},
    **{"end of the": LATE, "初": EARLY, "早期": EARLY, "前期": EARLY, "中": MIDDLE, "中期": MIDDLE},
    **{"末": LATE, "后期": LATE, "晚期": LATE},
}


def _alternatives(words: dict[str, object] | dict[str, int] | dict[str, tuple[int, int]]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


_Y = r"((?:18|19|20)\d\d)(?!\d)"
_MARK = re.compile(f"[{MARKS}]")
_CHINESE_YEAR = re.compile("([一二][零〇一九八][零〇一二三四五六七八九]{2})年")
_NOT_IN_NUMBER = r"(?<![\d.])"


def _years(first: int, last: int) -> Ranges:
    return ((date(first, 1, 1), date(last, 12, 31)),) if first <= last else ()


def _decade(found: re.Match[str], _: date) -> Ranges:
    text = found["decade"]
    if text in _DECADE_WORDS:
        start = _DECADE_WORDS[text]
    else:
        number = int(text)
        start = number if number >= 1000 else number + (1900 if number >= 30 else 2000)
    first, last = _PARTS.get(found["part"] or "", (0, 9))
    return _years(start + first, start + last)


def _count(text: str) -> int:
    return min(int(text) if text.isdigit() else _NUMBER_WORDS[text], 500)


_SPAN = r"\s*年?\s*(?:-|–|—|~|to|and|until|till|through|到|至|和)\s*"
_COUNT = rf"(?P<number>\d{{1,3}}|{_alternatives(_NUMBER_WORDS)})"
# Chinese has no word boundaries: characters in (?<!…) would make the rest part of another word (清新 "fresh", 过去 "past").
_READ_BY_PATTERN: tuple[tuple[str, _Read], ...] = (
    (
        rf"(?:\b(?:between|from)\s+)?{_NOT_IN_NUMBER}{_Y}{_SPAN}{_Y}\s*年?(?:之间|间)?",
        lambda found, _: _years(*sorted((int(found[1]), int(found[2])))),
    ),
    (
        rf"\b(?:before|prior to|older than|earlier than|pre|until|up to)[\s-]*(?:the year )?{_Y}",
        lambda found, _: ((BEGIN, date(int(found[1]) - 1, 12, 31)),),
    ),
    (
        rf"{_NOT_IN_NUMBER}{_Y}\s*年?\s*(?:以前|之前|前(?!期)|or earlier|or older|and before|and earlier)",
        lambda found, _: ((BEGIN, date(int(found[1]) - 1, 12, 31)),),
    ),
    (
        rf"\b(?:after|later than|newer than|post)[\s-]*(?:the year )?{_Y}",
        lambda found, _: ((date(int(found[1]) + 1, 1, 1), END),),
    ),
    (rf"{_NOT_IN_NUMBER}{_Y}\s*年?\s*(?:以后|之后|后(?!期))", lambda found, _: ((date(int(found[1]) + 1, 1, 1), END),)),
    (rf"\b(?:since|starting(?: from| in)?)\s+{_Y}", lambda found, _: ((date(int(found[1]), 1, 1), END),)),
    (
        rf"(?:\bfrom )?{_NOT_IN_NUMBER}{_Y}\s*年?\s*(?:以来|起|至今|开始|onwards?|or later|or newer|and later)",
        lambda found, _: ((date(int(found[1]), 1, 1), END),),
    ),
    (
        r"(?:\b(?P<part>early|mid|late|beginning of the|middle of the|end of the)[\s-]*(?:the )?)?"
        rf"{_NOT_IN_NUMBER}\b(?P<decade>(?:1[89]|20)\d0|\d0|{_alternatives(_DECADE_WORDS)})s?(?:(?<=s)|(?<=ies))\b(?!年)",
        _decade,
    ),
    (
        rf"(?:上世纪|二十世纪|本世纪)?{_NOT_IN_NUMBER}(?P<decade>(?:1[89]|20)\d0|\d0|{_alternatives(_DECADE_WORDS)})"
        r"\s*年代\s*(?P<part>初|早期|前期|中期|中|末|后期|晚期)?",
        _decade,
    ),
    (
        rf"(?P<part>)(?:{_NOT_IN_NUMBER}(?P<decade>(?:1[89]|20)\d0|\d0)(?:\s*년대|er(?:\s+jahren?|n)?\b))",
        _decade,
    ),
    (r"\b(?:annees|anos|los)\s+(?P<part>)(?P<decade>(?:1[89]|20)\d0|\d0)\b", _decade),
    (
        rf"\b(?:last|past|previous|recent)\s+{_COUNT}\s+years?\b",
        lambda found, today: ((today - timedelta(days=365 * _count(found["number"])), END),),
    ),
    (
        rf"(?:最近|近|过去)的?\s*{_COUNT}\s*年(?:来|内)?",
        lambda found, today: ((today - timedelta(days=365 * _count(found["number"])), END),),
    ),
    (
        rf"\b{_COUNT}\s+years?\s+(?:ago|back|earlier)\b",
        lambda found, today: _years(*2 * (today.year - _count(found["number"]),)),
    ),
    (
        rf"(?<![\d一二三四五六七八九十百]){_COUNT}\s*年(?:以|之)?前",
        lambda found, today: _years(*2 * (today.year - _count(found["number"]),)),
    ),
    (r"\b(?:last|past) decade\b", lambda _, today: ((today - timedelta(days=3650), END),)),
    (r"\blast year\b|(?<!过)去年", lambda _, today: _years(today.year - 1, today.year - 1)),
    (r"(?<![从以之目])前年", lambda _, today: _years(today.year - 2, today.year - 2)),
    (r"\bthis year\b|今年", lambda _, today: _years(today.year, today.year)),
    (
        r"\b(?:this|last|past) (?:month|week)\b|上个?月|这个?月|本月|本周|上周|这周",
        lambda _, today: ((today - timedelta(days=31), END),),
    ),
    (
        rf"(?:\b(?:in|from|of|year|the year|during)\s+)?{_NOT_IN_NUMBER}\b{_Y}\s*年?",
        lambda found, _: _years(int(found[1]), int(found[1])),
    ),
    (r"\b20th century\b|上个?世纪|二十世纪", lambda *_: _years(1900, 1999)),
    (r"\b21st century\b|本世纪|二十一世纪", lambda *_: _years(2000, 2099)),
    (
        r"\b(?:brand[\s-]?new|newest|latest|newly|just (?:released|dropped|came out)|recent(?:ly)?(?: released)?|fresh releases?"
        r"|new(?!\s+(?:age|wave|york|orleans|metal|world|zealand|year)\b))(?:\s+releases?\b|\s+released\b)?\b",
        lambda _, today: tuple((today - timedelta(days=days), END) for days in NEW_DAYS),
    ),
    (
        r"(?:最新|新近|近期|最近|刚刚?)(?:发行|发布|出|上架|上线|推出)?的?|(?<![清创重更革])新歌|新曲|新专辑|新发行|新发布|新出|新单|新上架|新上线",
        lambda _, today: tuple((today - timedelta(days=days), END) for days in NEW_DAYS),
    ),
    (
        r"\b(?:oldies|old[\s-]?school|from long ago|(?:very |really )?old(?:er|est)?(?=\s+(?:\w+\s+){0,2}"
        r"(?:songs?|music|tracks?|tunes?|hits?|records?|stuff|recordings?)\b))\b",
        lambda _, today: tuple((BEGIN, today - timedelta(days=365 * years)) for years in OLD_YEARS),
    ),
    (
        r"老歌|旧歌|老曲|年代久远|很久以前|早年",
        lambda _, today: tuple((BEGIN, today - timedelta(days=365 * years)) for years in OLD_YEARS),
    ),
)
_RULES = [(re.compile(pattern), read) for pattern, read in _READ_BY_PATTERN]
