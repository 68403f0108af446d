"""Whatever the channels find and the lists remember, no answer holds what must not be shown; on worlds that hypothesis makes."""

import uuid
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.pipeline.collection_pipeline import CollectionPipeline
from serving.pipeline.recall import Recall
from serving.pipeline.request import read_request, read_similar
from tests.support.serving.list_source import ListSource
from tests.support.serving.pipeline_harness import DAY, NOW, Bench
from tests.support.serving.small_release import ListChannel, clicked, excluded, history, release, tracks
from training.slate.blend import Blend
from training.slate.scenes import SCENES

COUNT = 12
TRACKS, ARTISTS = [f"t{n}" for n in range(COUNT)], ["a", "b", "c"]
NOON = datetime.fromtimestamp(NOW / 1e6, tz=UTC).replace(tzinfo=None)
TIMES = st.sampled_from([None, None, *(NOON + timedelta(days=days) for days in (-1, 0, 1, 2))])
ITEMS = st.lists(st.integers(2, COUNT + 1), max_size=COUNT, unique=True)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        # More of chance than any scene has.
        for name, scene in SCENES.items():
            patch.setitem(SCENES, name, replace(scene, exploration_rate=0.4))
        yield Bench(tmp_path_factory.mktemp("home"))


@st.composite
def worlds(draw):
    def each(values):
        return draw(st.lists(values, min_size=COUNT, max_size=COUNT))

    table = tracks(
        COUNT,
        artist_ids=each(st.lists(st.sampled_from(ARTISTS), max_size=2)),
        recording_id=each(st.sampled_from([None, None, "x", "y"])),
        available_from=each(TIMES),
        available_until=each(TIMES),
        is_in_catalogue=each(st.sampled_from([True, True, True, False])),
        territories=each(st.sampled_from([None, [], [], ["DE"], ["US", "FR"]])),
        is_explicit=each(st.sampled_from([None, False, True])),
        styles=each(st.lists(st.sampled_from(["rock", "pop"]), max_size=2)),
        plays_total=each(st.sampled_from([0, 100])),
    )
    near = {item: draw(ITEMS) for item in range(2, 5)}
    names = ("popularity", "realtime", "favourites")
    channels = [ListChannel(name, draw(ITEMS), draw(st.booleans()), near=near) for name in names]
    return release(table, channels, blend=Blend(0.0, diversity=draw(st.sampled_from([0.0, 0.3]))))


@st.composite
def days(draw):
    """What a user does on each of some days in a row: what is excluded on it, then what is asked."""
    targets = st.one_of(
        st.tuples(st.just("track"), st.sampled_from([*TRACKS, "gone"])),
        st.tuples(st.just("artist"), st.sampled_from(ARTISTS)),
    )
    asks = st.tuples(
        st.sampled_from([*(name for name, scene in SCENES.items() if scene.item_type == "tracks"), "similar"]),
        st.integers(1, COUNT),
        st.sampled_from([None, 0.0, 0.3, 0.5, 1.0]),
        st.booleans(),
        st.sampled_from(["", "DE", "us"]),
        st.booleans(),
    )
    return draw(st.lists(st.tuples(st.lists(targets, max_size=1), st.lists(asks, max_size=3)), min_size=1, max_size=3))


def may_be_shown(catalogue, item, territory, is_explicit_wanted):
    countries = catalogue.territories[catalogue.territories_V[item]]
    return (not countries or territory.upper() in countries) and (
        is_explicit_wanted or not catalogue.is_explicit_V[item]
    )


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(worlds(), days(), st.lists(st.sampled_from(TRACKS), max_size=4))
def test_no_response_contains_excluded_tracks(bench, of, story, heard):
    user, gone, lists, catalogue, code = uuid.uuid4().hex, [], {}, of.catalog, of.vocabulary.track_code
    artist = {number: name for name, number in catalogue.artist_code.items()}
    artists = {track: {artist[number] for number in catalogue.artists_of(code[track]).tolist()} for track in TRACKS}

    def recordings(some):
        return {int(catalogue.recording_V[code[track]]) for track in some if track in code}

    for day, (excluding, asks) in enumerate(story):
        gone += excluding
        tracks_gone, artists_gone = ({target for kind, target in gone if kind == one} for one in ("track", "artist"))
        bench.store.users[user], now = history(*heard) | excluded(*gone), NOW + day * DAY
        first = ("private_fm", 1, None, False, "DE", True)
        for scene, limit, discovery, bench.store.is_away, *wanted in [first, *asks]:
            is_similar = scene == "similar"
            if is_similar:
                request = read_similar("t1", limit, user, now, None, *wanted)
            else:
                request = read_request(user, scene, limit, now, discovery, None, *wanted)
            answer = bench.path.recommend(request, of)
            shown = [item.track_id for item in answer.items]
            explored = [item.track_id for item in answer.items if item.is_exploration]
            assert all(catalogue.is_new_V[code[track]] for track in explored)
            assert all((0 < item.propensity < 1) == item.is_exploration for item in answer.items)
            assert answer.trace.explored == 0 or (not is_similar and discovery != 0)
            assert len(recordings(shown)) == len(shown) <= limit
            assert not recordings(shown) & recordings([*tracks_gone, *(["t1"] if is_similar else [])])
            for track in shown:
                item = code[track]
                assert catalogue.is_served_V[item] and not artists[track] & artists_gone
                assert may_be_shown(catalogue, item, *wanted)
                assert catalogue.available_from_V[item] <= now < catalogue.available_until_V[item]
            mine = Counter(int(catalogue.main_artist_V[code[track]]) for track in shown)
            assert all(count <= request.scene.max_per_artist for number, count in mine.items() if number >= 2)
            if scene != "daily":
                continue
            # What of the list may not be shown here and now leaves it, the rest stays in its order.
            before = [
                track for track in lists.get((day, discovery), []) if may_be_shown(catalogue, code[track], *wanted)
            ]
            assert shown[: len(before)] == before[:limit]
            earlier = {track for (when, _), listed in lists.items() if when < day for track in listed}
            again = recordings(earlier) & recordings(shown)
            assert not again - (recordings(heard) if request.prefers_repeats else set())
            if len(shown) > len(before) and answer.trace.state_from != "nothing":
                lists[day, discovery] = shown


CONTAINERS = {"playlists": ("playlist", ["p2", "p3", "p4", "p5"]), "mlog": ("mlog", ["m2", "m3", "m4", "m5"])}
HELD = st.lists(st.lists(st.integers(2, COUNT + 1), min_size=1, max_size=4, unique=True), min_size=4, max_size=4)
FOUND = st.lists(st.integers(2, 5), max_size=4, unique=True)
TARGETS = st.one_of(
    *(st.tuples(st.just(kind), st.sampled_from(names)) for kind, names in CONTAINERS.values()),
    st.tuples(st.just("track"), st.sampled_from(TRACKS)),
    st.tuples(st.just("artist"), st.sampled_from(ARTISTS)),
)
WANTED = st.tuples(st.sampled_from(["", "DE", "us"]), st.booleans())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    worlds(),
    HELD,
    FOUND,
    st.booleans(),
    st.lists(TARGETS, max_size=6),
    st.lists(TARGETS, max_size=3),
    st.sampled_from(["read", "reported", "remembered"]),
    st.integers(1, 5),
    WANTED,
)
def test_no_response_contains_excluded_collections(
    bench, of, held, found, is_failing, gone, liked, known_as, limit, wanted
):
    """What is blocked or disliked stays away, read from the store or only reported, and takes nothing of another kind along; what
    is collected or opened may come again.
    """
    user, code, catalogue = uuid.uuid4().hex, of.vocabulary.track_code, of.catalog
    bench.store.is_away = False
    bench.store.users[user] = clicked(*liked) | (excluded(*gone) if known_as != "reported" else {})
    reported = [(target, "collect") for target in liked]
    if known_as == "reported":
        reported += [(target, "dislike") for target in gone]
    bench.hydrate.record_exclusions(
        [{"user_id": user, "action": did, "target_type": kind, "target_id": name} for (kind, name), did in reported]
    )
    if known_as == "remembered":
        bench.hydrate.load_user_state(read_request(user, "daily", 1, NOW), of)
        bench.store.is_away = True
    artist = {number: name for name, number in catalogue.artist_code.items()}
    recordings_gone = {int(catalogue.recording_V[code[name]]) for kind, name in gone if kind == "track"}

    def may_be_played(item):
        return (
            catalogue.is_served_V[item]
            and may_be_shown(catalogue, item, *wanted)
            and catalogue.available_from_V[item] <= NOW < catalogue.available_until_V[item]
            and int(catalogue.recording_V[item]) not in recordings_gone
            and not any(("artist", artist[number]) in gone for number in catalogue.artists_of(item).tolist())
        )

    for scene, (kind, names) in CONTAINERS.items():
        source = ListSource(kind, held, found, is_failing)
        path = CollectionPipeline(bench.hydrate, Recall(bench.metrics, 60.0, threads=1), bench.shown, bench.metrics)
        served = replace(
            of, collection_channels={source.name: source}, collection_indexes={source.name: source.collection_index}
        )
        answer = path.recommend(read_request(user, scene, limit, NOW, None, None, *wanted), served)
        playable = {name: [item for item in held[place] if may_be_played(item)] for place, name in enumerate(names)}
        allowed = []
        for place, name in enumerate(names):
            recordings = {int(catalogue.recording_V[item]) for item in held[place]}
            is_whole = len(playable[name]) == len(held[place]) == len(recordings)
            if (kind, name) not in gone and playable[name] and (kind == "playlist" or is_whole):
                allowed.append(name)
        shown = [item.target for item in answer.items]
        assert len(set(shown)) == len(shown) == min(limit, len(allowed))
        assert {kind for kind, _ in shown} <= {kind} and {name for _, name in shown} <= set(allowed)
        for item in answer.items:
            mine = {track.track_id for track in item.tracks}
            assert mine and mine <= {str(of.vocabulary.track_ids_V[one]) for one in playable[item.target[1]]}
    bench.store.is_away = False


def test_playlist_feedback_does_not_apply_to_its_tracks(bench):
    of = release(tracks(4), [ListChannel("popularity", range(2, 6))])
    bench.store.is_away = False
    bench.store.users["a reader"] = history("t0") | excluded(("playlist", "t1"), ("mlog", "t2"))
    assert {"t1", "t2"} <= set(bench.ask(of, user_id="a reader"))
