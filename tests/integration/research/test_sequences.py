"""Next-item prediction on plain sequences: parser, metrics and command on simulated sequences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from research.public_data.__main__ import main
from research.public_data.sequence_dataset import SequenceDataset, read_sequences
from research.public_data.sequences import build_config
from training.engine.config_io import change_config
from training.recall.realtime.channel import Realtime

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
            build_config(Realtime, True, []),
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
