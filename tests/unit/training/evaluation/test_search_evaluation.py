"""Precision of the search on a catalog by hand."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from rapidfuzz.distance import OSA

from research.search_quality import format_table
from training.evaluation.report import charts, page
from training.evaluation.search import evaluation
from training.evaluation.search.evaluation import TimedSearch, evaluate, measure_catalog
from training.evaluation.search.name_queries import misspell, sample_names
from training.evaluation.search.queries import EvaluationQuery, read_queries
from web import create_environment

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
    assert precision["mood"] == 0.75 and precision["en"] == 0.75 and precision["zh"] == 1.0
    assert precision["all"] == pytest.approx(2.5 / 3)
    assert result["precision"]["misspelled en"]["words"][0] == 1.0  # the search by words finds names, too
    assert result["precision"]["mood"]["words"][0] == 0.0
    assert result["misses"] == {"sad": 0.5}
    assert "| mood | 2 | 0.750" in format_table(result)
    assert result["names"]["titles"] == 0 and set(result["latency_ms"]) == {"queries"}


def test_conditions():
    track = {"title": "Rain No. 2", "artist_names": ["Bo"], "emotions": ["sad"], "released_on": date(2015, 5, 5)}

    def is_relevant(*conditions):
        return EvaluationQuery("", "en", "era", conditions).is_relevant(track)

    assert is_relevant(
        SAD, {"title": "Rain"}, {"artist": "Bo"}, {"released_from": "2015-01-01", "released_until": "2015-12-31"}
    )
    assert not is_relevant(SAD, {"released_until": "2015-05-04"})
    assert not is_relevant({"facet": "emotions", "none_of": ["sad"]}) and is_relevant(
        {"facet": "styles", "none_of": ["pop"]}
    )
    assert not is_relevant({"title": "Rai"}) and not is_relevant({"artist": "B"})


def test_the_sixty_queries_are_half_english_half_chinese_and_of_all_kinds():
    queries = read_queries()
    kinds = {"mood", "scene", "style", "language", "era", "misspelled", "combination"}
    for language in ("en", "zh"):
        assert sum(query.language == language for query in queries) == 30
        assert {query.kind for query in queries if query.language == language} == kinds
    assert len({query.text for query in queries}) == 60
    facet_queries = read_queries("facet_queries")
    kinds = ("negation", "opposites", "languages", "style and scene")
    assert [sum(query.kind == kind for query in facet_queries) for kind in kinds] == [15] * 4
    language_queries = read_queries("language_queries")
    assert sum(query.kind == "negation" for query in language_queries) == len(language_queries) / 2 == 30
    test_queries = {query.text for query in [*queries, *facet_queries, *language_queries]}
    assert not test_queries & {query.text for query in read_queries("development_queries")}


TITLES = [
    "Silver Harbour No. 2", "Golden Letter", "Golden Letter", "Quiet Forest", "Rain", "安静的夜", None, "Winter Season",
]  # fmt: skip


def titled_tracks() -> pl.DataFrame:
    return pl.DataFrame({"item": range(2, 2 + len(TITLES)), "title": TITLES, "artist_names": [["Bo"]] * len(TITLES)})


def test_sampled_names_are_titles_with_a_long_word():
    names = {name.title: name for name in sample_names(titled_tracks())}
    assert set(names) == {"silver harbour no. 2", "golden letter", "quiet forest", "winter season"}
    assert names["golden letter"].items == {3, 4}
    assert sample_names(titled_tracks()) == sample_names(titled_tracks())
    assert sample_names(pl.DataFrame({"item": [2]})) == []


def test_misspelled_titles_have_one_error_in_their_longest_word():
    random = np.random.default_rng(0)
    found = {misspell("the harbour no. 2", random) for _ in range(300)}
    for text in found:
        start, word, *rest = text.split(" ")
        assert start == "the" and rest == ["no.", "2"] and word[0] == "h" and word != "harbour"
        assert OSA.distance(word, "harbour") == 1, word
    assert {len(text) - len("the harbour no. 2") for text in found} == {-1, 0, 1}
    with pytest.raises(ValueError, match=r"'rain' has no word of 5 letters"):
        misspell("rain", random)


def test_names_are_found_with_and_without_errors():
    result = evaluate(titled_tracks(), date(2021, 1, 1), [])
    assert result["names"]["exact"][0] == result["names"]["misspelled"][0] == 1.0
    assert set(result["latency_ms"]) == {"titles", "misspelled titles"}


def test_latency_is_of_the_queries_since_it_was_read(monkeypatch):
    times = iter([0.0, 0.001, 1.0, 1.003, 2.0, 2.5])
    monkeypatch.setattr(evaluation.time, "perf_counter", lambda: next(times))
    search = TimedSearch(lambda query: [len(query)])
    assert search("a") == [1] and search("ab") == [2]
    assert search.take_latency() == pytest.approx([2.0, 2.9]) and search.take_latency() == []
    search("abc")
    assert search.take_latency() == pytest.approx([500, 500])


def test_queries_without_relevant_tracks_are_left_out_of_the_report(monkeypatch):
    tracks = titled_tracks().head(4)
    sad = pl.concat([tracks.with_columns(item=pl.col("item") + 10 * part, emotions=["sad"]) for part in range(3)])
    monkeypatch.setattr(evaluation, "collect_tracks", lambda data: sad)
    found = measure_catalog(None)
    queries_for_sad = [query for query in read_queries() if "sad" in query.conditions[0].get("any_of", ())]
    assert found["tracks"] == 12 and found["queries"] == len(queries_for_sad) and found["k"] == 10
    assert found["queries_without_tracks"] == 60 - len(queries_for_sad)
    monkeypatch.setattr(evaluation, "collect_tracks", lambda data: tracks.clear())
    assert measure_catalog(None) is None


def test_chapter_of_the_report():
    template = create_environment(charts.TEMPLATES)
    template.filters |= page.FILTERS
    row = {"queries": 2, "search": [0.9, 0.8, 1.0], "words": [0.0, 0.0, 0.0], "difference": [0.9, 0.8, 1.0]}
    search = {
        "k": 10, "tracks": 8000, "queries": 2, "queries_without_tracks": 58, "precision": {"mood en": row},
        "names": {"titles": 3, "exact": [1.0, 1.0, 1.0], "misspelled": [0.5, 0.2, 0.8]}, "latency_ms": {"queries": [1.25, 9.5]},
    }  # fmt: skip
    chapter = template.get_template("chapters/search.html").render(content={"search": search})
    for text in (
        "8,000 most played",
        "58 of 60 queries are left out",
        "<th>mood en</th><td>2</td>",
        "0.500",
        "<td>9.5</td>",
    ):
        assert text in chapter
    (one,) = (chapter for chapter in page.CHAPTERS if chapter.key == "search")
    assert one.is_shown({"search": search}) and not one.is_shown({"search": None})
