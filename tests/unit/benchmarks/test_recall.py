"""The benchmarks of recall run at small sizes; their results are hardly meaningful."""

import pytest

from benchmarks.serving import recall_latency, vector_search
from benchmarks.serving.synthetic_channels import SyntheticWorld
from training.engine.config_io import change_config
from training.index.ivf import IVFIndex
from training.recall.realtime.channel import Realtime
from training.recall.realtime.config import realtime_config
from training.recall.registry import CHANNELS


@pytest.mark.parametrize("recipe", ["debug", "small"])
def test_recall_of_a_request_by_channel(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recall_latency, "USERS", 2)
    results = {result.name: result for result in recall_latency.run("recall", recipe, 10.0)(3_000)}
    assert results["recall"].peer_value == 10
    assert 0 < results["recall_floor"].value < results["recall_processor"].value
    assert all(results[f"recall_{name}"].value > 0 for name in CHANNELS)
    assert {name: result.value for name, result in results.items() if "_found_" in name} == {
        f"recall_found_{name}": 1.0 for name in ("realtime", "multi_interest", "long_short")
    }


def test_every_channel_finds_candidates_for_a_synthetic_user() -> None:
    world = SyntheticWorld(3_000, "small")
    channels, users = world.channels(), world.requests(3, seed=5)
    assert channels.keys() == CHANNELS.keys()
    for name, channel in channels.items():
        found = channel.recall(users, 50).items_BK
        assert (found > 0).all(), name
        assert (found < 3_002).all(), name


def test_ivf_lists_are_compared_with_hnsw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_search, "SEARCHES", 5)
    # In a small catalog the first 200 tracks are in most lists.
    monkeypatch.setattr("training.index.ivf_tuning.MAX_PROBED_FRACTION", 1.0)
    results = {result.name: result for result in vector_search.run(4_000)}
    assert results.keys() == {"index_search", "index_build", "index_found", "index_search_exact"}
    assert 0 < results["index_build"].value < 60
    assert results["index_found"].value >= 0.97
    assert results["index_found"].peer_value is not None and results["index_found"].peer_value > 0.9


def test_an_exact_index_is_not_compared_with_hnsw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_search, "SEARCHES", 5)
    monkeypatch.setattr("training.index.ivf_tuning.MIN_RECALL", 1.1)
    (result,) = vector_search.run(3_000)
    assert (result.name, result.peer) == ("index_search_exact", None)


def test_a_large_synthetic_catalog_is_searched_approximately(monkeypatch: pytest.MonkeyPatch) -> None:
    # In a small catalog the first 200 tracks are in most lists.
    monkeypatch.setattr("training.index.ivf_tuning.MAX_PROBED_FRACTION", 1.0)
    monkeypatch.setattr(
        Realtime, "config", lambda recipe: change_config(realtime_config(recipe), {"index.exact_up_to": 1_000})
    )
    world = SyntheticWorld(3_000, "small")
    channel = world.channels()["realtime"]
    assert isinstance(channel, Realtime) and isinstance(channel.index.warm, IVFIndex)
    assert 0.97 <= world.index_recall["realtime"] <= 1
