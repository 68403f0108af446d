"""The leaderboard at a tiny size: rows, parts of the targets, cache, and the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.support.training.lastfm_files import write_lastfm_files
from tests.support.training.tiny_world import SERVICES, START, random_plays, write_marts
from training.ablations.grid import Grid
from training.ablations.table import average_over_seeds
from training.benchmarks import knowledge_graph as benchmark
from training.benchmarks.light_gcn import LightGCNConfig
from training.benchmarks.sequence_dataset import read_sequences
from training.data.feature_services import ServiceContract
from training.data.user_batch import OfflineFeatures
from training.engine.workspace import Workspace
from training.evaluation.baselines.heuristics import HEURISTIC_BASELINES
from training.evaluation.baselines.tuned import BASELINES
from training.evaluation.trees_alone import TREES_ALONE
from training.leaderboard import logs
from training.leaderboard.__main__ import main, measure
from training.leaderboard.baselines import BASELINE_CELLS
from training.leaderboard.dataset import Cell, CellResult
from training.leaderboard.knowledge_graph import LIGHT_GCN, LastFMGraph, score_table
from training.leaderboard.logs import LogsRanking, LogsRecall
from training.leaderboard.page import Row, Section, render_html, render_markdown
from training.leaderboard.sequence_files import NETWORK_ALONE, LastFM
from training.ranking.features.ranking_features import VIEWS
from training.ranking.registry import RANKERS
from training.recall.registry import CHANNELS

SMALL = ("steps=4", "width=16")
TINY_CHANNELS = {"realtime": (*SMALL, "validate_every=2"), "long_short": SMALL, "multi_interest": SMALL}
TINY_RANKER = {"training.epochs": 1, "training.batch_size": 64, "network.width": 4}
ALL_BASELINES = {*HEURISTIC_BASELINES, *BASELINES}


@pytest.fixture
def grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Grid:
    """The tiny world without a Feast registry."""
    contract_of = classmethod(lambda cls, store, service: SERVICES.get(service, cls(VIEWS)))
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(ServiceContract, "of", contract_of)
    monkeypatch.setattr(OfflineFeatures, "store", None)
    marts = write_marts(tmp_path / "marts", random_plays())
    counts = ("plays_total", "listens_total", "full_plays_total", "skips_total", "plays_7d", "plays_28d")
    rows = pl.DataFrame({"track_id": ["t3"], "known_at": [START], **{name: [2] for name in counts}})
    rows.with_columns(pl.col("known_at").cast(pl.Datetime("us"))).write_parquet(marts / "track_statistics.parquet")
    return Grid(Workspace(tmp_path / "workspace", marts, "2024-02-01", "debug"), tmp_path / "ablations")


def values(section: Section, metric: str) -> dict[str, float]:
    return {row.name: row.runs[0][metric].value for row in section.rows}


@pytest.fixture(scope="module")
def sequences(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Section]:
    """Forty users with eight of twelve items each, in the order of a cycle, and the measured section."""
    folder = tmp_path_factory.mktemp("sequences")
    lines = [f"u{user} " + " ".join(f"i{(user + step) % 12}" for step in range(8)) for user in range(40)]
    (folder / "LastFM.txt").write_text("\n".join(lines) + "\n")
    return folder / "LastFM.txt", measure(LastFM(folder / "LastFM.txt", TINY_CHANNELS), [0], folder / "cells")


def test_sequences_have_every_channel_and_baseline(sequences: tuple[Path, Section]) -> None:
    _, section = sequences
    models = {row.name for row in section.rows if not row.is_baseline}
    assert models == {f"{name}{fit}" for name in (*CHANNELS, NETWORK_ALONE) for fit in ("", ", train part only")}
    baselines = {row.name for row in section.rows if row.is_baseline}
    assert baselines == {f"{name}{fit}" for name in ALL_BASELINES for fit in ("", ", train part only")}
    assert np.isnan(values(section, "recall_at_10/repeat")["popularity"]), "no user returns to an item"


def test_history_is_removed_from_lists_of_baselines(sequences: tuple[Path, Section]) -> None:
    """Recall and NDCG of the most popular items that are not in the history, by sorting."""
    file, section = sequences
    read = read_sequences(file)
    known = [item for items in read.train for item in items] + read.validation
    order = sorted(read.items, key=lambda item: (-known.count(item), read.items.index(item)))
    ranks = [[item for item in order if item not in history].index(target) for history, target in read.test]
    # Five of twelve items are not in the history, so a list of ten with all of them has the target.
    assert values(section, "recall_at_10/all")["popularity"] == 1.0
    expected = np.mean([1 / np.log2(rank + 2) for rank in ranks])
    assert values(section, "ndcg_at_10/all")["popularity"] == pytest.approx(expected)


def test_baselines_of_sequences_are_refitted_with_the_validation_items(tmp_path: Path) -> None:
    """The targets of half of the users were listened to only as validation items of the others."""
    lines = [f"u{user} i1 i2 i3 i4 i5" for user in range(20)]
    lines += [f"v{user} i1 i2 i3 i6 i{7 + user % 12}" for user in range(20)]
    lines += [f"w{user} i1 i2 i3 i4 i6" for user in range(20)]
    (tmp_path / "LastFM.txt").write_text("\n".join(lines) + "\n")
    dataset = LastFM(tmp_path / "LastFM.txt")
    result = dataset.measure(BASELINE_CELLS[2], 0, tmp_path / "cell")
    hits = {
        name: table.filter(pl.col("user") >= 40)["recall_at_10/all"].to_list() for name, table in result.tables.items()
    }
    assert set(hits["ease"]) == {1.0} and set(hits["ease, train part only"]) == {0.0}


def test_graph_has_the_network_and_the_baselines(tmp_path: Path) -> None:
    dataset = LastFMGraph(write_lastfm_files(tmp_path / "files"), LightGCNConfig(width=8, epochs=40))
    section = measure(dataset, [0, 1], tmp_path / "cells")
    assert {row.name: row.is_baseline for row in section.rows} == {
        LIGHT_GCN: False,
        **dict.fromkeys(("popularity", *BASELINES), True),
    }
    auc = values(section, "auc/all")
    assert auc[LIGHT_GCN] > 0.7 > 0.6 > auc["popularity"] and auc["ease"] > 0.6
    assert all(len(row.runs) == 2 for row in section.rows)


def test_intervals_of_the_graph_are_over_the_same_users_with_every_seed(tmp_path: Path) -> None:
    """The width of the mean of a run and a copy without some test users is nearly that of the run."""
    dataset = LastFMGraph(write_lastfm_files(tmp_path / "files"))
    pairs = benchmark.kgcn_pairs(dataset.folder, 0)
    likes_U = np.random.default_rng(1).normal(size=60)
    score_P = pairs.label_P * likes_U[pairs.user_P] + np.random.default_rng(2).normal(size=len(pairs))
    table = score_table(pairs, score_P)
    runs = [
        dataset.estimates(part) for part in (table, table.filter(pl.col("user") > 0), table.filter(pl.col("user") > 1))
    ]
    for metric in ("auc/all", "gauc/all"):
        one, mean = (average_over_seeds(some)[metric].interval() for some in (runs[:1], runs))
        assert mean[2] - mean[1] > 0.9 * (one[2] - one[1])


def test_logs_have_channels_rankers_and_baselines_by_part(
    grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    channels = {name: CHANNELS[name] for name in ("popularity", "favourites")}
    rankers = {name: RANKERS[name] for name in ("sum_pooling", "session_domains")}
    monkeypatch.setattr(logs, "CHANNELS", channels)
    monkeypatch.setattr(logs, "RANKERS", rankers)
    recall = measure(LogsRecall(grid), [0], tmp_path / "cells")
    assert {row.name: row.is_baseline for row in recall.rows} == {
        **dict.fromkeys(ALL_BASELINES, True),
        **dict.fromkeys(channels, False),
    }
    assert {"recall_at_200/all", "recall_at_200/repeat", "recall_at_200/discovery"} <= set(recall.rows[0].runs[0])
    ranking = measure(LogsRanking(grid, dict.fromkeys(rankers, TINY_RANKER)), [0], tmp_path / "cells")
    assert {row.name: row.is_baseline for row in ranking.rows} == {
        TREES_ALONE: True,
        **dict.fromkeys(rankers, False),
    }
    assert {"auc/all", "gauc/all", "auc/repeat", "gauc/repeat"} <= set(ranking.rows[0].runs[0])


def test_trees_alone_depend_on_the_config_of_their_ranker(grid: Grid) -> None:
    cell = LogsRanking(grid).cells()[0]
    keys = {
        LogsRanking(grid, changes).inputs(cell, 0)["hash"]
        for changes in ({}, {"session_domains": {"trees.leaves": 7}}, {"sum_pooling": {"trees.leaves": 7}})
    }
    assert cell.name == TREES_ALONE and len(keys) == 2


def test_plays_of_new_tracks_are_measured_apart(grid: Grid) -> None:
    """Plays of one user: the order of new tracks is perfect, that of repeats is reversed."""
    is_repeat = [True] * 4 + [False] * 3
    table = pl.DataFrame(
        {
            "user": [0] * 7,
            "label": [1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0],
            "probability": [0.1, 0.2, 0.3, 0.4, 0.9, 0.6, 0.5],
            "repeat": is_repeat,
            "discovery": [not one for one in is_repeat],
        }
    )
    found = {name: estimate.value for name, estimate in LogsRanking(grid).estimates(table).items()}
    assert (found["auc/repeat"], found["auc/discovery"], found["gauc/discovery"]) == (0.0, 1.0, 1.0)
    assert found["auc/all"] == pytest.approx(4 / 12)


def test_a_killed_run_continues_with_the_next_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, measured = LastFMGraph(write_lastfm_files(tmp_path / "files"), LightGCNConfig(width=4, epochs=5)), []
    original = LastFMGraph.measure

    def killed(self: LastFMGraph, cell: Cell, seed: int, folder: Path) -> CellResult:
        measured.append((cell.name, seed))
        if len(measured) == 2:
            raise KeyboardInterrupt
        return original(self, cell, seed, folder)

    monkeypatch.setattr(LastFMGraph, "measure", killed)
    with pytest.raises(KeyboardInterrupt):
        measure(dataset, [0, 1], tmp_path / "cells")
    section = measure(dataset, [0, 1], tmp_path / "cells")
    assert measured[1] == measured[2] and len(set(measured)) == 4 and len(measured) == 5
    again = measure(dataset, [0, 1], tmp_path / "cells")
    assert len(measured) == 5
    assert render_markdown([again], "") == render_markdown([section], "")


def test_page_has_means_deviations_differences_and_published_values() -> None:
    generator = np.random.default_rng(0)

    def row(name: str, is_baseline: bool, gains: list[float]) -> Row:
        tables = [
            pl.DataFrame({"user": np.arange(200), "recall_at_10/all": generator.random(200) * 0.1 + gain})
            for gain in gains
        ]
        return Row(name, is_baseline, [LastFM(Path()).estimates(table) for table in tables], 3.0)

    rows = [row("popularity", True, [0.0]), row("ease", True, [0.2]), row("realtime", False, [0.5, 0.6])]
    section = Section("Data", "How.", "recall_at_10/all", rows, {"SASRec": {"recall_at_10": 0.0688}})
    missing = Section("Other", "How.", "recall_at_10/all", missing="no file <x>; name its folder with DATA")
    page = render_markdown([section, missing], "make leaderboard")
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| ")]
    assert [line[0] for line in lines[2:]] == ["realtime", "ease", "popularity", "SASRec"]
    mean = np.mean([run["recall_at_10/all"].value for run in rows[2].runs])
    assert lines[2][2].startswith(f"{mean:.4f} [") and "±" in lines[2][2] and "±" not in lines[3][2]
    gain = mean - rows[1].runs[0]["recall_at_10/all"].value
    assert lines[2][3].startswith(f"{gain:+.4f} [") and lines[3][3] == "–" and lines[4][3].startswith("-0.")
    assert lines[5][1:3] == ["published", "0.0688"]
    assert "Not measured: no file <x>" in page
    html = render_html([section, missing], "make leaderboard")
    assert "no file &lt;x&gt;" in html and html.count("<table>") == 1 and f"{mean:.4f} [" in html


def test_command_without_data_names_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    assert main(["--data", str(tmp_path / "none"), "--seeds", "1"]) == 0
    page = (tmp_path / "reports" / "leaderboard.md").read_text()
    assert page.count("Not measured: no ") == 5 and "name its folder with DATA" in page and "no mart plays" in page
    assert (tmp_path / "reports" / "leaderboard.html").exists()
