"""The position bias learns that late positions are seldom looked at, and scoring ignores it."""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import spearmanr

from tests.support.training.ranking_cases import TRACKS, catalogue, ranking_features, user_batch
from training.engine.config_io import change_config
from training.ranking.case_batches import CaseBatch
from training.ranking.fit import RankerObjective
from training.ranking.session_domains.model import SessionDomains

POSITIONS = 10
CLICK_RATE = 0.9


def shown(generator: np.random.Generator, cases: int) -> CaseBatch:
    """Return impressions of users who look less at late positions, and click even tracks when they look."""
    features = ranking_features(hard_search=False, plays=4)
    side = features.prepare_users(user_batch([[]] * cases, length=4))
    items, positions = generator.integers(4, 28, cases), generator.integers(1, POSITIONS + 1, cases)
    looked_at = generator.random(cases) < 0.8 / positions**0.7
    clicked = looked_at & (generator.random(cases) < np.where(items % 2 == 0, CLICK_RATE, 1 - CLICK_RATE))
    candidates = features.prepare_candidates(side, items[:, None])
    return CaseBatch(
        side.inputs, candidates, torch.tensor(clicked[:, None], dtype=torch.float32), torch.tensor(positions)
    )


def test_position_and_track_effects_are_separated() -> None:
    torch.manual_seed(0)
    generator = np.random.default_rng(0)
    changes = {
        "features.hard_search": False,
        "features.plays": 4,
        "features.impressions": 0,
        "network.minimum_count": 1,
        "training.learning_rate": 1e-2,
        "training.steps": 300,
    }
    config = change_config(SessionDomains.config("debug"), changes)
    objective = RankerObjective(SessionDomains(config, catalogue(), ("click",)), config)
    optimizer = torch.optim.Adam(objective.parameters(), lr=config.training.learning_rate)
    for step in range(config.training.steps):
        loss = objective.training_step(shown(generator, 512), step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model, positions = objective.network.eval(), torch.arange(1, POSITIONS + 1)
    with torch.no_grad():
        bias = model.position_bias(positions)[:, 0]
        test = shown(generator, TRACKS)
        logits = model(model.encode_user(test.users), test.candidates)[:, 0, 0]
        assert (model.position_bias(torch.zeros(3, dtype=torch.int64)) == 0).all()
    assert spearmanr(bias, -positions).statistic >= 0.9
    is_even = test.candidates.track_BC[:, 0] % 2 == 0
    assert logits[is_even].min() > logits[~is_even].max()
