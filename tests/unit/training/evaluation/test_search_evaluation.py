"""Precision of the search on a catalog by hand."""

from datetime import date

import polars as pl
import pytest

from research.search_quality import format_table
from training.evaluation.search_quality import EvaluationQuery, evaluate, read_queries

SAD = {"facet": "emotions", "any_of": ["sad"]}


def test_precision_is_the_share_of_the_relevant_tracks_that_could_be_found():
    tracks = pl.DataFrame(
        {
            "item": range(20),
            "title": [f"Song {number}" for number in range(20)],
            "artist_names": [["Anna"]] * 20,
            "emotions": [["sad"]] * 5 + [["lonely"]] * 6 + [["happy"]] * 9,
            "released_on": [date(2020, 1, 1)] * 20,
        }
    )
    queries = [
        EvaluationQuery("sad", "en", "mood", ({"facet": "emotions", "any_of": ["sad", "lonely"]},)),
        EvaluationQuery("快乐", "zh", "mood", ({"facet": "emotions", "any_of": ["happy"]},)),
        EvaluationQuery("anna", "en", "misspelled", ({"artist": "Anna"},)),
    ]
    result = evaluate(tracks, date(2021, 1, 1), queries)
    precision = {name: row["search"][0] for name, row in result["precision"].items()}
    assert precision["mood"] == 0.75
    assert [precision[name] for name in ("en", "zh", "all")] == pytest.approx([0.75, 1.0, 2.5 / 3])
    assert result["misses"] == {"sad": 0.5}
    assert "| mood | 2 | 0.750" in format_table(result)


@pytest.mark.parametrize(
    ("conditions", "is_relevant"),
    [
        (
            (SAD, {"title": "Rain"}, {"artist": "Bo"}, {"released_from": "2015-01-01", "released_until": "2015-12-31"}),
            True,
        ),
        ((SAD, {"released_until": "2015-05-04"}), False),
        (({"facet": "emotions", "none_of": ["sad"]},), False),
        (({"facet": "styles", "none_of": ["pop"]},), True),
        (({"title": "Rai"},), False),
        (({"artist": "B"},), False),
    ],
)
def test_conditions(conditions, is_relevant):
    track = {"title": "Rain No. 2", "artist_names": ["Bo"], "emotions": ["sad"], "released_on": date(2015, 5, 5)}
    assert EvaluationQuery("", "en", "era", conditions).is_relevant(track) == is_relevant


def test_no_query_of_the_evaluation_was_used_in_development():
    evaluated = {
        query.text for name in ("queries", "facet_queries", "language_queries") for query in read_queries(name)
    }
    assert len(evaluated) > 100 and not evaluated & {query.text for query in read_queries("development_queries")}
