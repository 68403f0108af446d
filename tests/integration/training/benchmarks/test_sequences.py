"""Next-item prediction on plain sequences: parser, metrics and command on simulated sequences."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from config import settings
from training.benchmarks import sequences as benchmark
from training.benchmarks.__main__ import main
from training.benchmarks.sequence_dataset import SequenceDataset, read_attributes, read_sequences
from training.engine.config_io import change_config, config_from_dict
from training.recall.channel import Candidates
from training.recall.realtime.channel import Realtime
from training.recall.registry import CHANNELS

CYCLE = 8


@pytest.fixture
def cycle(tmp_path: Path) -> Path:
    """Forty users repeat a cycle of eight items."""
    lines = [f"u{user} " + " ".join(f"i{(user + step) % CYCLE}" for step in range(10 + user % 5)) for user in range(40)]
    (tmp_path / "cycle.txt").write_text("\n".join(lines) + "\n")
    return tmp_path / "cycle.txt"


def test_leave_one_out_holds_out_the_last_two(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("7 a b c d\n\n9 d e f\n")
    sequences = read_sequences(path)
    assert sequences.train == [["a", "b"], ["d"]]
    assert sequences.validation == ["c", "e"]
    assert sequences.test == [(["a", "b", "c"], "d"), (["d", "e"], "f")]
    assert sequences.items == ["a", "b", "c", "d", "e", "f"], "the published catalog is the whole file"
    assert not sequences.has_repeats


def test_test_file_has_requests_and_adds_no_items(tmp_path: Path) -> None:
    path, test = tmp_path / "file.txt", tmp_path / "test.txt"
    path.write_text("7 a b a c\n")
    test.write_text("a b\tz\n\ta\n")
    sequences = read_sequences(path, test)
    assert (sequences.train, sequences.validation) == ([["a", "b", "a"]], ["c"])
    assert sequences.test == [(["a", "b"], "z"), ([], "a")]
    assert sequences.items == ["a", "b", "c"]
    assert sequences.has_repeats


@pytest.mark.parametrize(
    ("text", "test", "message"),
    [
        ("1 a b c\n2 a b\n", None, "line 2: 2 items after id '2'"),
        ("1 a b c\n2\n", None, "line 2: 0 items after id '2'"),
        ("1 a b c\n1 a b c\n", None, "line 2: id '1' is already on line 1; join"),
        ("\n", None, "has no line; write one line `id item"),
        ("1 a b\n", "a b c\n", "line 1: no single item after a tab; write `item item"),
        ("1 a b\n", "a\tb\na\tb c\n", "line 2: no single item after a tab"),
        ("1 a b\n", "", "has no line; write one line `item item"),
    ],
)
def test_invalid_files_are_reported_with_line_and_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, test: str | None, message: str
) -> None:
    path, other = tmp_path / "file.txt", tmp_path / "test.txt"
    path.write_text(text)
    arguments = ["sequences", "--file", str(path), "--channel", "realtime"]
    if test is not None:
        other.write_text(test)
        arguments += ["--test", str(other)]
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_invalid_files_seeds_and_fields_are_errors(cycle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    binary = cycle.with_name("binary")
    binary.write_bytes(b"\xff\xfe\x00")
    valid = ["sequences", "--channel", "realtime", "--file", str(cycle)]
    for arguments, message in (
        ([*valid[:3], "--file", str(cycle) + "x"], "no file"),
        ([*valid[:3], "--file", str(binary)], "not UTF-8"),
        ([*valid, "--seeds", "0"], "--seeds 0"),
        ([*valid, "--set", "wdth=3"], "no 'wdth'"),
        ([*valid, "--set", "width=wide"], "'wide' does not have the type of the current value 64"),
        ([*valid, "--attributes", str(cycle)], "not JSON"),
    ):
        assert main(arguments) == 2
        assert message in capsys.readouterr().err


def test_attributes_of_the_items_are_distinct_and_ordered_by_frequency(tmp_path: Path) -> None:
    path = tmp_path / "attributes.json"
    path.write_text(json.dumps({"a": [3, 1, 1], "b": [], "z": [1]}))
    assert read_attributes(path, ["a", "b"]) == {"a": ["1", "3"]}
    with pytest.raises(ValueError, match="none of the 1 items"):
        read_attributes(path, ["c"])


def test_metrics_against_an_oracle() -> None:
    rank_R = np.array([0, 4, 5, 12, np.inf])
    found = benchmark.metrics(rank_R)
    for k in (5, 10, 20):
        hit = [rank for rank in rank_R if rank < k]
        assert found[f"recall_at_{k}"] == pytest.approx(len(hit) / 5)
        assert found[f"ndcg_at_{k}"] == pytest.approx(sum(1 / np.log2(rank + 2) for rank in hit) / 5)
        assert found[f"mrr_at_{k}"] == pytest.approx(sum(1 / (rank + 1) for rank in hit) / 5)


def test_ranks_with_and_without_items_of_the_history(tmp_path: Path) -> None:
    """With a channel that always returns the items in vocabulary order."""
    path = tmp_path / "file.txt"
    path.write_text(
        "".join(f"{user} " + " ".join(f"i{(user + step) % 9}" for step in range(5)) + "\n" for user in range(9))
    )
    world = SequenceDataset.build(read_sequences(path), tmp_path / "marts")

    class InOrder(CHANNELS["popularity"]):  # type: ignore[misc]
        def __init__(self) -> None:
            self.histories: list[list[str]] = []

        def recall(self, users: object, k: int) -> Candidates:
            history = users.views["recent_events"]  # type: ignore[attr-defined]
            self.histories += [
                world.data.vocabulary.decode(row[:length])
                for row, length in zip(history.columns["track_id"], history.length_B, strict=True)
            ]
            items_BK = np.tile(np.arange(2, 11), (len(users), 1))  # type: ignore[arg-type]
            return Candidates.pad_or_truncate(items_BK, -np.arange(9.0)[None].repeat(len(items_BK), 0), k)

    order = world.data.vocabulary.track_ids_V[2:].tolist()
    for exclude_history in (False, True):
        channel = InOrder()
        rank_R = benchmark.target_ranks(channel, world, world.test, exclude_history, "test")
        for user in range(9):
            history = [f"i{(user + step) % 9}" for step in range(4)]
            assert channel.histories[user] == history, "exactly the items before the last one"
            candidates = [item for item in order if not (exclude_history and item in history)]
            assert rank_R[user] == candidates.index(f"i{(user + 4) % 9}")


def test_held_out_items_are_not_in_the_training_data(cycle: Path, tmp_path: Path) -> None:
    from training.recall.window_sampler import WindowSampler

    sequences = read_sequences(cycle)
    sampler = WindowSampler(SequenceDataset.build(sequences, tmp_path / "marts").data, 50, 1, 0.5, "full")
    assert sampler.count_V.sum() == sum(len(items) for items in sequences.train)
    windows = sampler.windows(0, 0, 200)
    longest = max(len(items) for items in sequences.train)
    assert (windows.item_BL > 0).sum(1).max() == (windows.next_BL > 0).sum(1).max() + 1 == longest


def test_refit_includes_validation_items_but_not_test(cycle: Path, tmp_path: Path) -> None:
    from training.recall.window_sampler import WindowSampler

    original, test = read_sequences(cycle), tmp_path / "test.txt"
    test.write_text("i0 i1\ti2\n")
    for sequences in (original, read_sequences(cycle, test)):
        world = SequenceDataset.build(sequences, tmp_path / "marts", is_final=True)
        sampler = WindowSampler(world.data, 50, 1, 0.5, "full")
        expected = [[*items, last] for items, last in zip(sequences.train, sequences.validation, strict=True)]
        histories = sampler.histories
        train = [
            world.data.vocabulary.decode(histories.item_P[histories.offset_U1[user] : histories.offset_U1[user + 1]])
            for user in range(len(histories.offset_U1) - 1)
        ]
        assert [items for items in train if items] == expected, "users of the test file are not in it"
        assert len(world.data.recall_cases("validation")) == 0


def test_result_has_metrics_with_and_without_refit(cycle: Path, tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    arguments = ["sequences", "--file", str(cycle), "--channel", "realtime", "--seeds", "1", "--json", str(out)]
    changes = ["--set=width=16", "--set=steps=4", "--set=validate_every=2"]
    assert main([*arguments, *changes]) == 0
    both = json.loads(out.read_text())
    assert both["refit"] and {"validation", "test", "test_without_refit"} <= set(both)
    assert main([*arguments, *changes, "--no-refit"]) == 0
    one = json.loads(out.read_text())
    assert not one["refit"] and "test_without_refit" not in one
    assert one["test"] == both["test_without_refit"]


def test_full_windows_have_the_maximum_length(cycle: Path, tmp_path: Path) -> None:
    from training.recall.window_sampler import WindowSampler

    data = SequenceDataset.build(read_sequences(cycle), tmp_path / "marts").data
    lengths = {
        kind: (WindowSampler(data, 9, 1, 0.5, kind).windows(0, 0, 300).item_BL > 0).sum(1) for kind in ("any", "full")
    }
    assert set(lengths["full"].tolist()) == {8, 9}, "all events of a user with eight events"
    assert lengths["any"].min() == 1


@pytest.mark.parametrize("softmax", ["full", "sampled"])
@pytest.mark.parametrize("block", ["residual", "gated"])
def test_realtime_predicts_the_next_item_of_a_cycle(cycle: Path, tmp_path: Path, block: str, softmax: str) -> None:
    out = tmp_path / "result.json"
    changes = [
        "width=16",
        "steps=80",
        "validate_every=40",
        "uniform_negatives=16",
        f"block={block}",
        f"softmax={softmax}",
    ]
    arguments = ["sequences", "--file", str(cycle), "--channel", "realtime", "--seeds", "2", "--json", str(out)]
    assert main([*arguments, *(f"--set={change}" for change in changes)]) == 0
    result = json.loads(out.read_text())
    assert result["heard_are_candidates"] is True
    assert len(result["test"]["runs"]) == 2
    assert result["test"]["mrr_at_5"]["mean"] > 0.95
    assert result["test"]["mrr_at_5"]["standard_deviation"] is not None


def test_test_file_is_evaluated_unless_part_is_validation(cycle: Path, tmp_path: Path) -> None:
    test, out = tmp_path / "test.txt", tmp_path / "result.json"
    test.write_text("".join(f"i{item} i{(item + 1) % CYCLE}\ti{(item + 2) % CYCLE}\n" for item in range(CYCLE)))
    arguments = ["sequences", "--file", str(cycle), "--test", str(test), "--channel", "realtime", "--seeds", "1"]
    changes = ["--json", str(out), "--set=width=16", "--set=steps=80", "--set=validate_every=40"]
    assert main([*arguments, *changes]) == 0
    result = json.loads(out.read_text())
    assert (result["requests"], result["test"]["recall_at_5"]["mean"]) == (CYCLE, 1.0)
    assert main([*arguments, *changes, "--part", "validation"]) == 0
    assert "test" not in json.loads(out.read_text())


@pytest.mark.parametrize("name", sorted(CHANNELS))
def test_all_channels_accept_plain_sequences(cycle: Path, tmp_path: Path, name: str) -> None:
    arguments = [
        "sequences",
        "--file",
        str(cycle),
        "--channel",
        name,
        "--seeds",
        "1",
        "--json",
        str(tmp_path / "out.json"),
    ]
    changes = ["--set=steps=4", "--set=width=16"] if name in ("realtime", "long_short", "multi_interest") else []
    assert main([*arguments, *changes]) == 0
    assert set(json.loads((tmp_path / "out.json").read_text())["test"]) >= {"recall_at_10", "ndcg_at_10", "mrr_at_20"}


def test_ctrl_c_during_a_fit_prints_no_traceback(cycle: Path, tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    command = [sys.executable, "-m", "training.benchmarks", "sequences", "--channel", "realtime", "--seeds", "1"]
    command += ["--file", str(cycle), "--json", str(out), "--set=steps=100000", "--set=validate_every=1"]
    command += ["--set=patience=100000", "--set=width=16"]
    # Background processes of a shell ignore Ctrl-C, and their children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        command, cwd=settings.ROOT, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    assert process.stderr is not None
    output = ""
    while "step 2:" not in output and (line := process.stderr.readline()):
        output += line
    process.send_signal(signal.SIGINT)
    output += process.stderr.read()
    assert process.wait() == 130, output
    assert "stopped; nothing was written" in output
    assert "Traceback" not in output
    assert not out.exists()
    assert not list(tmp_path.glob("segue-sequences-*")), "the temporary folder is removed"


def test_config_survives_a_json_round_trip() -> None:
    config = Realtime.config("sequences")
    assert config_from_dict(type(config), json.loads(json.dumps(asdict(config)))) == config


def test_length_bucketing_does_not_change_the_loss(cycle: Path, tmp_path: Path) -> None:
    from training.nn.item_tower import ItemCodes
    from training.recall.realtime.model import RealtimeNetwork
    from training.recall.window_loss import WindowLoss
    from training.recall.window_sampler import WindowSampler

    data = SequenceDataset.build(read_sequences(cycle), tmp_path / "marts").data
    sampler = WindowSampler(data, 20, 1, 0.5)
    losses = []
    for trim in (False, True):
        torch.manual_seed(0)
        config = change_config(
            Realtime.config("sequences"),
            {
                "items.width": 8,
                "encoder.history_length": 20,
                "encoder.dropout": 0.0,
                "items.item_dropout": 0.0,
                "sampling.length_bucketing": trim,
            },
        )
        network = RealtimeNetwork(config, ItemCodes.of(data, sampler.count_V, 1))
        loss = WindowLoss(network, config.sampling, config.loss, sampler, data.catalog_V, seed=0)
        losses.append(loss.compute_window_loss(loss.batch_at(0)))
    torch.testing.assert_close(losses[0], losses[1])
