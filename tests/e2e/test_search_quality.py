"""`make acceptance`: the search finds relevant tracks for queries that were written before it was run or changed, and nothing for
letters without meaning.
"""

import random
from datetime import timedelta

import polars as pl
import pytest

from content.encoders.text import encode_texts, text_encoder_version
from recommender.search.noise_floor import ALPHABETS
from recommender.search.track_search import TrackSearch
from recommender.search.write_search import write_search
from research.search_quality import format_table
from tests.support.acceptance_plugin import report
from tests.support.tiers import acceptance_only
from tests.support.training.simulated_catalog import make_search_tracks, read_catalog
from training.evaluation.search_quality import ALL, evaluate, read_queries

MAX_FOUND_BY_NOISE = 0.05
pytestmark = acceptance_only


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize(
    ("file", "least", "groups", "mean", "of_a_group"),
    [
        ("queries", 10, ("en", "zh"), 0.8, 0.8),
        ("facet_queries", 1, ("negation", "opposites", "languages", "style and scene"), 0.75, 0.6),
    ],
)
def test_precision_of_the_queries(
    file: str, least: int, groups: tuple[str, ...], mean: float, of_a_group: float
) -> None:
    queries, size = read_queries(file), read_catalog()
    tracks = make_search_tracks(size)
    for query in queries:
        assert sum(map(query.is_relevant, tracks.iter_rows(named=True))) >= least, query
    result = evaluate(tracks, size.start + timedelta(days=size.days), queries)
    print(format_table(result), result["misses"])
    precision = {name: round(result["precision"][name]["search"][0], 3) for name in (ALL, *groups)}
    report(f"search_precision_at_10 of {file}", f"mean {mean}, groups {of_a_group}", precision)
    assert precision[ALL] >= mean and min(precision.values()) >= of_a_group, result["misses"]


@pytest.mark.timeout(1_800)
def test_random_strings_find_nothing_and_topics_of_titles_are_found(tmp_path) -> None:
    size, source = read_catalog(), random.Random(1)
    tracks = make_search_tracks(size).head(2_000)
    vectors = tracks.select("item").with_columns(embedding=pl.Series(encode_texts(tracks["title"].to_list()).tolist()))
    write_search(tracks, tmp_path / "search", encode_texts, text_encoder_version(), vectors)
    search = TrackSearch.load(tmp_path / "search", encode_texts, text_encoder_version())
    words = ["".join(source.choices(alphabet, k=source.randint(3, 9))) for alphabet in ALPHABETS for _ in range(20)]
    found = [word for word in words if search.search(word, 1, size.start)]
    topics = {"森林": "Forest", "灯笼": "Lantern", "Schmetterlinge im Garten": "Garden", "una ciudad": "City"}
    titles = {topic: [tracks["title"][match.item] for match in search.search(topic, 5, size.start)] for topic in topics}
    report("search_found_by_noise", f"at most {MAX_FOUND_BY_NOISE}", len(found) / len(words))
    assert len(found) <= MAX_FOUND_BY_NOISE * len(words), found
    assert all(any(word in title for title in titles[topic]) for topic, word in topics.items()), titles
