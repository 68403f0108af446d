"""Rankers learn planted signals: one that every ranker can learn, and one that no mean over the events shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from config.dataclass_io import change_config
from recommender.ranking.event_embeddings import ItemFrequencies
from recommender.ranking.features.ranking_features import RankingFeatures
from recommender.ranking.inputs import CandidateInputs, UserInputs
from recommender.ranking.ranker import as_tensors
from recommender.ranking.registry import RANKERS
from tests.support.tiers import acceptance_only
from tests.support.training.ranking_cases import (
    LISTEN,
    MINUTE,
    NOW,
    OUTCOME_V,
    SKIP,
    TRACKS,
    ranking_features,
    user_batch,
)
from training.ranking.fit import task_losses
from training.recipes import config_of

GROUPS = 4
CHANGES = {
    "network.width": 16,
    "network.hidden": (32,),
    "network.minimum_count": 1,
    "network.id_dropout": 0.0,
    "network.dropout": 0.0,
    "features.hard_search": False,
    "features.impressions": 0,
    "features.genres": False,
}


def features() -> RankingFeatures:
    """Return features without artists and statistics: only ids are informative."""
    made = ranking_features()
    unknown_artists = np.ones(TRACKS, dtype=np.int64)
    reads = replace(made.reads, hard_search=False, plays=GROUPS)
    return RankingFeatures(unknown_artists, OUTCOME_V, {}, made.statistics.newest_per_track(), reads)


def batch(
    generator: np.random.Generator, signal: str, size: int = 512
) -> tuple[UserInputs, CandidateInputs, torch.Tensor]:
    """Return users who played one track of each group (track mod 4), two listened to and two skipped, in random order.

    `track`: even candidates are listened to. `binding`: a candidate has the outcome of its group's event, which is
    another track, so no count of its own track, no rate and no mean over the events predicts it.
    """
    rows, items, labels = [], [], []
    for _ in range(size):
        outcome = generator.permutation([LISTEN, LISTEN, SKIP, SKIP])
        order = generator.permutation(GROUPS)
        tracks = 4 + order + GROUPS * generator.integers(0, 9, GROUPS)
        ends = NOW - MINUTE * np.arange(GROUPS, 0, -1)
        rows.append([(int(t), int(outcome[g]), int(e)) for t, g, e in zip(tracks, order, ends, strict=True)])
        group = int(generator.integers(GROUPS))
        others = [t for t in range(4 + group, TRACKS, GROUPS) if t not in tracks]
        item = int(generator.choice(others))
        items.append([item])
        answer = {"track": item % 2 == 0, "binding": outcome[group] == LISTEN}
        labels.append([float(answer[signal])])
    made = features()
    side = made.prepare_users(user_batch(rows, length=GROUPS))
    inputs = side.inputs, made.prepare_candidates(side, np.array(items))
    return *map(as_tensors, inputs), torch.tensor(labels)


def learned_auc(name: str, signal: str, steps: int) -> float:
    """Return the AUC on new users after some training steps."""
    torch.manual_seed(0)
    generator = np.random.default_rng(0)
    config = change_config(config_of(RANKERS[name], "debug"), CHANGES)
    model = RANKERS[name](
        config, ItemFrequencies(torch.full((TRACKS,), 9), torch.zeros(2, dtype=torch.int64)), ("listened",)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    ready = [batch(generator, signal) for _ in range(20)]
    model.fit_quantiles(ready[0][0], ready[0][1])
    for step in range(steps):
        users, candidates, labels = ready[step % len(ready)]
        loss = task_losses(model(model.encode_user(users), candidates)[:, 0], labels).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    users, candidates, labels = batch(generator, signal, 2_000)
    with torch.no_grad():
        logits = model(model.encode_user(users), candidates)[:, 0, 0]
    return float(roc_auc_score(labels[:, 0], logits))


@pytest.mark.parametrize(
    ("name", "signal", "steps", "least_auc"),
    [
        *(
            pytest.param(name, "track", 100, 0.95, id=f"{name} learns preferences of tracks")
            for name in sorted(RANKERS)
        ),
        pytest.param("target_attention", "binding", 400, 0.85, id="target_attention learns the relevant event"),
        pytest.param(
            *("session_domains", "binding", 400, 0.85),
            id="session_domains learns the relevant event",
            marks=acceptance_only,
        ),
    ],
)
def test_rankers_learn_planted_signals(name: str, signal: str, steps: int, least_auc: float) -> None:
    assert learned_auc(name, signal, steps) > least_auc
