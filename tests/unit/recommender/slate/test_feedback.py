"""Evidence of reactions on hand-made histories: what the next list has to feel."""

import numpy as np
import polars as pl
import pytest

from recommender.catalog.catalog import Catalog
from recommender.catalog.vocabulary import Vocabulary
from recommender.slate.feedback import EVIDENCE, READ_FROM, FeedbackWeights, Reactions
from tests.support.sequences.batches import batch_of

MINUTE, DAY, NOW = 60_000_000, 86_400_000_000, 1_800_000_000_000_000
STYLES = ["rock", "rock", "rock", "rock", "jazz", "jazz", "jazz", "jazz"]
ITEMS = np.arange(2, 10)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """Track n, item n + 2, by artist n, four of rock and four of jazz."""
    table = pl.DataFrame(
        {
            "track_id": [f"t{n}" for n in range(8)],
            "title": [f"Song {n}" for n in range(8)],
            "artist_id": [f"a{n}" for n in range(8)],
            "artist_ids": [[f"a{n}"] for n in range(8)],
            "artist_names": [[f"Artist {n}"] for n in range(8)],
            "styles": [[style] for style in STYLES],
        }
    )
    return Catalog.build(table, Vocabulary.build(table, table.select("track_id")))


def reactions(*events: tuple[str, int, int]) -> Reactions:
    """Of (behavior, item, time), oldest first."""
    columns = "behavior track_id ended_at occurred_at"
    views = {
        name: batch_of(columns, [(*event, event[2]) for event in events if event[0] in names])
        for name, names in READ_FROM.items()
    }
    return Reactions.of(views, np.array([NOW]))


def factors(catalog: Catalog, *events: tuple[str, int, int]) -> np.ndarray:
    return np.exp(FeedbackWeights().log_factors(reactions(*events).evidence(ITEMS, catalog)))


def test_skips_of_a_style_lower_its_other_tracks(catalog: Catalog) -> None:
    after = factors(catalog, *(("skip", item, NOW - (5 - item) * MINUTE) for item in (2, 3, 4)))
    assert (after[4:] == 1).all() and after[3] < 0.5
    assert (after[:3] < after[3]).all()  # their artists are lowered, too


def test_dislikes_weigh_more_than_skips_and_last_longer(catalog: Catalog) -> None:
    def of_rock(behavior: str, at: int) -> float:
        return float(factors(catalog, *((behavior, item, at) for item in (2, 3, 4)))[3])

    assert of_rock("dislike", NOW - MINUTE) < of_rock("skip", NOW - MINUTE)
    assert of_rock("skip", NOW - 7 * DAY) > 0.95 > of_rock("dislike", NOW - 7 * DAY)


@pytest.mark.parametrize("age", [MINUTE, 2 * DAY])
def test_likes_raise_a_style_that_was_never_played(catalog: Catalog, age: int) -> None:
    after = factors(catalog, *(("like", item, NOW - age) for item in (6, 7)))
    assert after[7] > 1.5 and (after[:4] == 1).all()


def test_last_reactions_of_a_session_outweigh_earlier_ones(catalog: Catalog) -> None:
    played = [("full_play", 2 + number % 3, NOW - (30 - number) * MINUTE) for number in range(20)]
    skipped = [("skip", item, NOW - (5 - item) * MINUTE) for item in (2, 3, 4)]
    assert reactions(*played, *skipped).evidence(ITEMS, catalog)[3, EVIDENCE.index("session_style")] < 0


def test_skipper_is_not_driven_to_unknown_styles(catalog: Catalog) -> None:
    """Skips at the user's usual rate say little about a style."""
    usual = [("skip" if number % 2 else "full_play", 2 + number % 8, NOW - (50 - number) * DAY) for number in range(40)]
    assert factors(catalog, *usual, ("skip", 2, NOW - 3 * MINUTE), ("full_play", 3, NOW - 2 * MINUTE))[3] > 0.9


SONGS = [("full_play", 9)]
SKIP, LIKE = ("skip", 2), ("like", 2)


@pytest.mark.parametrize(
    ("session", "rests"),
    [
        ([SKIP], True),
        ([SKIP, *SONGS * 9], True),
        ([SKIP, *SONGS * 10], False),
        ([SKIP, *SONGS * 9, ("skip", 8)], True),  # a skipped song was not listened to
        ([SKIP, *SONGS * 10, SKIP, *SONGS * 20], True),
        ([SKIP, ("full_play", 2)], True),
        ([SKIP, LIKE], False),
        ([SKIP, SKIP, ("collect", 2)], False),
        ([SKIP, LIKE, SKIP, *SONGS * 10], False),
        ([("dislike", 2), *SONGS * 20], True),
        ([LIKE], False),
    ],
)
def test_artist_rests_for_ten_songs_after_a_skip_and_for_the_session_after_two(
    catalog: Catalog, session: list[tuple[str, int]], rests: bool
) -> None:
    events = [(*one, NOW - (len(session) - place) * MINUTE) for place, one in enumerate(session)]
    assert (catalog.main_artist_V[2] in reactions(*events).resting_artists(catalog)) == rests
    assert not len(reactions(*((*one, at - DAY) for *one, at in events)).resting_artists(catalog))  # a new session


def test_resting_artists_are_in_the_order_of_their_last_skips(catalog: Catalog) -> None:
    skips = [("skip", item, NOW - (9 - place) * MINUTE) for place, item in enumerate((4, 2, 3, 4))]
    assert reactions(*skips).resting_artists(catalog).tolist() == catalog.main_artist_V[[2, 3, 4]].tolist()


def test_only_likes_of_unplayed_tracks_are_votes_for_new_ones() -> None:
    assert reactions(("full_play", 2, NOW - 2 * MINUTE), ("like", 2, NOW - MINUTE)).votes_for_new() == 0
    assert reactions(("like", 3, NOW - 1), ("full_play", 3, NOW)).votes_for_new() == pytest.approx(1)
