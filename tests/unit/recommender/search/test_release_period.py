"""Periods of release in queries."""

from datetime import date

import pytest

from recommender.search.release_period import BEGIN, END, read_periods
from recommender.search.text_normalization import normalize

TODAY = date(2026, 10, 30)


def years(first, last):
    return date(first, 1, 1), date(last, 12, 31)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("hits from 2015", years(2015, 2015)),
        ("2016年的歌", years(2016, 2016)),
        ("二零一五年发行", years(2015, 2015)),
        ("between 2012 and 2014", years(2012, 2014)),
        ("2014-2012", years(2012, 2014)),
        ("2012到2014年", years(2012, 2014)),
        ("songs of the '90s", years(1990, 1999)),
        ("the nineties", years(1990, 1999)),
        ("九十年代的歌", years(1990, 1999)),
        ("musique des années 80", years(1980, 1989)),
        ("canciones de los 90", years(1990, 1999)),
        ("Lieder der 90er Jahre", years(1990, 1999)),
        ("90년대 록", years(1990, 1999)),
        ("early 2010s", years(2010, 2013)),
        ("80年代末", years(1987, 1989)),
        ("before 2014", (BEGIN, date(2013, 12, 31))),
        ("2014年以前", (BEGIN, date(2013, 12, 31))),
        ("after 2018", (date(2019, 1, 1), END)),
        ("since 2018", (date(2018, 1, 1), END)),
        ("last year", years(2025, 2025)),
        ("去年的歌", years(2025, 2025)),
        ("近三年的歌", (date(2023, 10, 31), END)),
        ("tracks from five years ago", years(2021, 2021)),
        ("十年前的歌", years(2016, 2016)),
        ("2014年前", (BEGIN, date(2013, 12, 31))),
    ],
)
def test_period(query, expected):
    (period,), _ = read_periods(normalize(query), TODAY)
    assert period.ranges == (expected,)


@pytest.mark.parametrize(
    ("query", "is_new"),
    [
        *((query, True) for query in ("new mandarin songs", "最新的歌", "latest tracks", "新歌")),
        *((query, False) for query in ("old rock songs", "经典老歌", "oldies")),
    ],
)
def test_new_prefers_the_newest_and_old_the_oldest(query, is_new):
    (period,), _ = read_periods(normalize(query), TODAY)
    first, *_, last = period.ranges
    assert (first[0] > last[0] and {end for _, end in period.ranges} == {END}) if is_new else first[1] < last[1] < TODAY


@pytest.mark.parametrize(
    "query", ["new age music", "No. 90", "50 cent", "清新歌曲", "过去年代", "track 1234567", "old mcdonald"]
)
def test_other_words_are_not_periods(query):
    assert read_periods(normalize(query), TODAY) == ([], normalize(query))
