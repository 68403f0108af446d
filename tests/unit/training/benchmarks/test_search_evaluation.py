"""Precision of the search on a catalog by hand."""

from datetime import date

import polars as pl
import pytest

from training.benchmarks.search.evaluation import evaluate, format_table
from training.benchmarks.search.queries import EvaluationQuery, read_queries

SAD = {"facet": "emotions", "any_of": ["sad"]}


def test_precision_counts_missing_results_as_wrong():
    tracks = pl.DataFrame(
        {
            "item": range(20),
            "title": [f"Song {number}" for number in range(20)],
            "artist_names": [["Anna"]] * 20,
            "emotions": [["sad"]] * 5 + [["happy"]] * 15,
            "released_on": [date(2020, 1, 1)] * 20,
        }
    )
    queries = [
        EvaluationQuery("sad", "en", "mood", (SAD,)),
        EvaluationQuery("快乐", "zh", "mood", ({"facet": "emotions", "any_of": ["happy"]},)),
        EvaluationQuery("anna", "en", "misspelled", ({"artist": "Anna"},)),
    ]
    result = evaluate(tracks, date(2021, 1, 1), queries)
    precision = {name: row["search"][0] for name, row in result["precision"].items()}
    assert precision["mood"] == 0.75 and precision["en"] == 0.75 and precision["zh"] == 1.0
    assert precision["all"] == pytest.approx(2.5 / 3)
    assert result["precision"]["misspelled en"]["words"][0] == 1.0  # the search by words finds names, too
    assert result["precision"]["mood"]["words"][0] == 0.0
    assert result["misses"] == {"sad": 0.5}
    assert "| mood | 2 | 0.750" in format_table(result)


def test_conditions():
    track = {"title": "Rain No. 2", "artist_names": ["Bo"], "emotions": ["sad"], "released_on": date(2015, 5, 5)}

    def is_relevant(*conditions):
        return EvaluationQuery("", "en", "era", conditions).is_relevant(track)

    assert is_relevant(
        SAD, {"title": "Rain"}, {"artist": "Bo"}, {"released_from": "2015-01-01", "released_until": "2015-12-31"}
    )
    assert not is_relevant(SAD, {"released_until": "2015-05-04"})
    assert not is_relevant({"title": "Rai"}) and not is_relevant({"artist": "B"})


def test_the_sixty_queries_are_half_english_half_chinese_and_of_all_kinds():
    queries = read_queries()
    kinds = {"mood", "scene", "style", "language", "era", "misspelled", "combination"}
    for language in ("en", "zh"):
        assert sum(query.language == language for query in queries) == 30
        assert {query.kind for query in queries if query.language == language} == kinds
    assert len({query.text for query in queries}) == 60
    assert not {query.text for query in queries} & {query.text for query in read_queries("development_queries")}
