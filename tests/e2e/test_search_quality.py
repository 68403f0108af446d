"""`make acceptance`: the search finds relevant tracks for queries that were written before it was run or changed."""

from datetime import timedelta

import pytest

from research.search_quality import format_table
from tests.support.acceptance_plugin import report
from tests.support.tiers import acceptance_only
from tests.support.training.simulated_catalog import make_search_tracks, read_catalog
from training.evaluation.search_quality import ALL, evaluate, read_queries

MIN_PRECISION = 0.8
MIN_MEAN, MIN_OF_A_GROUP = 0.75, 0.6
pytestmark = acceptance_only


@pytest.mark.timeout(1_800)
def test_precision_of_the_sixty_queries() -> None:
    queries, size = read_queries(), read_catalog()
    assert [sum(query.language == language for query in queries) for language in ("en", "zh")] == [30, 30]
    tracks = make_search_tracks(size)
    for query in queries:
        assert sum(map(query.is_relevant, tracks.iter_rows(named=True))) >= 10, query
    result = evaluate(tracks, size.start + timedelta(days=size.days), queries)
    print(format_table(result), result["misses"])
    precision = {name: round(row["search"][0], 3) for name, row in result["precision"].items()}
    report("search_precision_at_10", f"at least {MIN_PRECISION} over 60 queries", precision)
    assert precision[ALL] >= MIN_PRECISION and precision["en"] >= MIN_PRECISION and precision["zh"] >= MIN_PRECISION


@pytest.mark.timeout(1_800)
def test_negation_opposites_languages_and_styles_with_scenes() -> None:
    queries, size = read_queries("facet_queries"), read_catalog()
    tracks = make_search_tracks(size)
    for query in queries:
        assert any(map(query.is_relevant, tracks.iter_rows(named=True))), query
    result = evaluate(tracks, size.start + timedelta(days=size.days), queries)
    kinds = (ALL, *dict.fromkeys(query.kind for query in queries))
    precision = {name: round(result["precision"][name]["search"][0], 3) for name in kinds}
    report("search_facet_precision_at_10", f"mean {MIN_MEAN}, groups {MIN_OF_A_GROUP}", precision)
    assert precision[ALL] >= MIN_MEAN and min(precision.values()) >= MIN_OF_A_GROUP, result["misses"]
