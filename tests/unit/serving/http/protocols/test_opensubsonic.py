"""OpenSubsonic: what random songs of a genre and of years are searched by."""

import asyncio
import re
from datetime import date

import pytest

from recommender.search.release_period import MARKS, read_periods
from serving.http.protocols.opensubsonic import GENERIC, OpenSubsonic

FIRST, LAST = 1800, 2099


class Api:
    """Finds nothing, and records the queries."""

    def __init__(self):
        self.queries = []

    async def post(self, path, body):
        assert path == "/search"
        self.queries.append(body["query"])
        return {"items": []}


def ask(api, given):
    return asyncio.run(OpenSubsonic(lambda *_: []).answer(api, "getRandomSongs", "u", given))


@pytest.mark.parametrize("genre", ["", "rock", "r" * 300])
@pytest.mark.parametrize(
    ("given", "years"),
    [
        ({"fromYear": "1990", "toYear": "2005"}, (1990, 2005)),
        ({"fromYear": "1995", "toYear": "1995"}, (1995, 1995)),
        ({"fromYear": "1990"}, (1990, LAST)),
        ({"toYear": "2005"}, (FIRST, 2005)),
        ({"fromYear": "1", "toYear": "9999"}, (FIRST, LAST)),
    ],
)
def test_random_songs_of_years(genre, given, years):
    api = Api()
    ask(api, {"genre": genre, **given})
    (query,) = api.queries
    assert len(query) <= 200
    (period,), rest = read_periods(query, date(2026, 1, 1))
    assert period.ranges == ((date(years[0], 1, 1), date(years[1], 12, 31)),)
    assert re.sub(f"[{MARKS} |]", "", rest) == genre[:180]


def test_random_songs_of_a_genre_and_years_that_are_no_numbers():
    api = Api()
    ask(api, {"genre": "rock"})
    assert api.queries == ["rock"]
    error = ask(api, {"genre": "rock", "toYear": "now"})["error"]
    assert error == {"code": GENERIC, "message": "toYear 'now' is not a positive number"}
