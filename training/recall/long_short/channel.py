"""Long- and short-term interest in dialogue: what the user will come back to, and what is new and fits both interests.

Legend: B requests, K candidates, M remembered tracks, H heard items. The network and its sources are described in
`long_short_network.py`, the memory's numbers in `memory.py`. A share of the answer, chosen on validation, is new to
the user; the rest are remembered tracks by their repeat score.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from sequences.batch import FIRST_CODE
from training.data.recall_at_k import load_user_batches, recall_table, validation_objective
from training.data.training_data import TrainingData
from training.data.user_batch import UserBatch
from training.data.user_history import HISTORY_VIEW, select_listens
from training.data.vocabulary import Vocabulary
from training.engine.workspace import write_json
from training.nn.item_tower import ItemCodes
from training.recall.channel import Candidates
from training.recall.long_short.config import LongShortConfig, long_short_config
from training.recall.long_short.data import SessionSampler, build_requests
from training.recall.long_short.model import LongShortNetwork, short_term_config
from training.recall.neural_channel import NeuralChannel, sample_tuning_requests
from training.recall.reason import Reason, track_phrase
from training.recall.sequence_merge import interleave
from training.recall.window_sampler import WindowSampler

NORMALIZATION_BATCHES = 8

DAY_US = 86_400_000_000


class LongShort(NeuralChannel):
    """Remembered tracks by repeat score, and among them unheard ones by the gated interest vector."""

    name: ClassVar[str] = "long_short"
    feature_service: ClassVar[str] = "long_short"

    def __init__(
        self, config: LongShortConfig, network: LongShortNetwork, catalogue: np.ndarray, vocabulary: Vocabulary
    ) -> None:
        self.resolved_config = config
        self.network = network.eval()
        self.catalog = catalogue
        self.vocabulary = vocabulary
        self._measures: dict[str, Any] = {}
        self.rebuild_index()

    @classmethod
    def config(cls, recipe: str) -> LongShortConfig:
        """See `long_short_config`."""
        return long_short_config(recipe)

    @property
    def item_codes(self) -> ItemCodes:
        """See `IndexedChannel`."""
        return self.network.short.items.codes

    def vectors(self, items: torch.Tensor, as_cold: bool = False) -> torch.Tensor:
        """See `IndexedChannel`."""
        return self.network.vectors(items, as_cold)

    @classmethod
    def fit(cls, data: TrainingData, config: LongShortConfig, folder: Path) -> LongShort:
        """Train on past sessions; stop where validation recall stops growing; then choose the share that is new."""
        # Imported here: whoever asks a trained channel, as the service does, need not wait for what trains one.
        from training.engine import distributed, trainer
        from training.recall.long_short.objective import LongShortLearner
        from training.recall.realtime.objective import WindowLoss

        trainer.configure_threads()
        torch.manual_seed(config.seed)
        sampler = SessionSampler(data, config, cls.feature_service)
        short = short_term_config(config)
        windows = WindowSampler(data, short.length, short.horizon, short.user_sampling_exponent)
        codes = ItemCodes.of(data, windows.count_V, config.min_plays, config.content)
        network = LongShortNetwork(config, codes)
        # Its index is exact as long as it learns; which one it gets is decided by what was learned.
        channel = cls(replace(config, probes=None), network, np.flatnonzero(data.catalog_V), data.vocabulary)
        if not len(sampler) or not data.catalog_V.any():
            return channel
        seen = [sampler.sessions(config.seed + 1, step, config.batch).requests for step in range(NORMALIZATION_BATCHES)]
        network.fit_normalization(torch.cat([one.feature_BMF[one.repeat_item_BM > 0] for one in seen]))
        cases = data.recall_cases("validation").sample(config.cases_per_user, config.seed)
        is_choosing = config.early_stopping_step is None and len(cases) > 0
        is_asking = is_choosing or channel.needs_cold_item_thresholds(cases)
        batches = load_user_batches(data, cases, cls.feature_service) if is_asking and distributed.is_rank0() else []

        def table(found: list[_CandidateLists], share: float) -> dict[str, float]:
            return recall_table(np.concatenate([lists.merge(share, 200) for lists in found]), cases)

        def validate() -> float:
            channel.rebuild_index()
            return validation_objective(
                table([channel._candidate_lists(users, 200) for users in batches], channel.discovery_share)
            )

        schedule = trainer.Schedule(
            config.early_stopping_step or config.steps,
            config.validate_every if is_choosing else 0,
            config.patience,
            seed=config.seed,
        )
        loss = WindowLoss(network.train().short, short, windows, data.catalog_V)
        learner = LongShortLearner(network, config, sampler, loss)
        record = trainer.fit(
            learner, learner.batch_at, schedule, folder, validate if is_choosing else None, mixed_precision=True
        )
        network.eval()
        channel.rebuild_index()
        channel.resolved_config = replace(
            config, early_stopping_step=record.steps, discovery_share=channel.discovery_share
        )
        channel.fit_cold_item_thresholds(cases, batches)
        channel._measures = asdict(record)
        if is_choosing and config.discovery_share is None:
            found = [channel._candidate_lists(users, 200) for users in batches]
            tried = {share: table(found, share) for share in config.discovery_share_grid}
            chosen = max(tried, key=lambda share: (round(validation_objective(tried[share]), 6), -share))
            channel.resolved_config = replace(channel.resolved_config, discovery_share=chosen)
            channel._measures |= {
                "validation": tried[chosen],
                "new_shares": {str(share): one for share, one in tried.items()},
            }
        channel._measures |= {
            "index": channel.fit_index(lambda: sample_tuning_requests(data, cls.feature_service, config.seed))
        }
        return channel

    @property
    def discovery_share(self) -> float:
        """The share of the answer that is new to the user; the middle of those to choose from before any was chosen."""
        config: LongShortConfig = self.resolved_config
        return (
            config.discovery_share_grid[len(config.discovery_share_grid) // 2]
            if config.discovery_share is None
            else config.discovery_share
        )

    def measures(self) -> dict[str, Any]:
        """Steps, seconds, validation recall, and what each share of new tracks would give."""
        return self._measures

    def recall(self, users: UserBatch, k: int) -> Candidates:
        """Nothing for a request without a known event; else `k` items, `new_share` of them unheard."""
        return Candidates.from_ranking(self._candidate_lists(users, k).merge(self.discovery_share, k))

    @torch.inference_mode()
    def _candidate_lists(self, users: UserBatch, k: int) -> _CandidateLists:
        requests = build_requests(users, self.resolved_config, self.vocabulary.artist_of_track_V)
        interests = self.network.interests(requests)
        score_BM = self.network.repeat_scores(requests, interests).numpy()
        remembered_BM = requests.repeat_item_BM.numpy()
        order_BM = np.lexsort((remembered_BM, -score_BM), axis=1)[:, :k]
        repeated_BK = np.take_along_axis(remembered_BM, order_BM, axis=1)
        new_BK = np.zeros((len(users), 0), dtype=np.int64)
        if self.resolved_config.discovery_share != 0:  # where nothing new is wanted, nothing need be searched
            query_BD = self.network.query("new", requests, interests)
            new_BK, _ = self.index.search(query_BD, k, users.history_items_BH, self.cold_item_threshold("new"))
        has_past_B = (requests.length_B > 0).numpy() | (remembered_BM > 0).any(1)
        return _CandidateLists(repeated_BK * has_past_B[:, None], new_BK * has_past_B[:, None])

    @torch.no_grad()
    def encode_queries(self, users: UserBatch) -> tuple[np.ndarray, dict[str, torch.Tensor]]:
        """Of all requests one query for what is new to the user."""
        requests = build_requests(users, self.resolved_config, self.vocabulary.artist_of_track_V)
        query_BD = self.network.query("new", requests, self.network.interests(requests))
        return np.arange(len(users)), {"new": query_BD[:, None]}

    @torch.no_grad()
    def reasons(self, user: UserBatch, items: Sequence[int]) -> list[Reason]:
        """How often and how long ago each was heard; for a new track, the remembered one that is closest to it."""
        history = select_listens(user.views[HISTORY_VIEW])
        track_L, ended_L = (history.columns[name][0][: history.length_B[0]] for name in ("track_id", "ended_at"))
        times = Counter(track_L.tolist())
        last = dict(zip(track_L.tolist(), ended_L.tolist(), strict=True))
        closest = self._closest_track_reasons(
            [item for item in items if not times[item]], np.unique(track_L[track_L >= FIRST_CODE])
        )
        now_us = int(user.request_at_B[0])
        return [
            _repeat_reason(times[item], (now_us - last[item]) // DAY_US) if times[item] else closest[item]
            for item in items
        ]

    def _closest_track_reasons(self, items: list[int], known_N: np.ndarray) -> dict[int, Reason]:
        if not len(known_N) or not items:
            return dict.fromkeys(items, Reason("fits_session"))
        vector_ND, vector_MD = (self.network.vectors(torch.as_tensor(of)) for of in (known_N, items))
        closest_M = known_N[(vector_MD @ vector_ND.T).argmax(1).numpy()].tolist()
        return {
            item: Reason("keeps_listening_to_track", {"track": track_phrase(self.vocabulary, closest)})
            for item, closest in zip(items, closest_M, strict=True)
        }

    def save(self, folder: Path) -> None:
        """Config as JSON, weights and item codes as safetensors, the catalogue as one array."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "long_short.json", asdict(self.resolved_config))
        tensors = {name: tensor.contiguous() for name, tensor in self.network.state_dict().items()}
        save_file(tensors, folder / "long_short.safetensors")
        np.save(folder / "catalogue.npy", self.catalog, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path, vocabulary: Vocabulary) -> Self:
        """What `save` wrote."""
        config = LongShortConfig(**json.loads((folder / "long_short.json").read_text()))
        tensors = load_file(folder / "long_short.safetensors")
        codes = ItemCodes.from_state_dict(tensors, "short.items.codes.")
        network = LongShortNetwork(config, codes)
        network.load_state_dict(tensors)
        return cls(config, network, np.load(folder / "catalogue.npy", allow_pickle=False), vocabulary)


@dataclass(frozen=True)
class _CandidateLists:
    """The two answers before they are one: remembered tracks and unheard ones, each best first, 0 where none."""

    repeat_BK: np.ndarray
    new_BK: np.ndarray

    def merge(self, share: float, k: int) -> np.ndarray:
        """`k` of both, `share` of them new; no new one fills up where nothing new is wanted."""
        new_BK = self.new_BK if share > 0 else self.new_BK[:, :0]
        return interleave(self.repeat_BK, new_BK, share, k)


def _repeat_reason(times: int, days: int) -> Reason:
    if days > 30:
        if times == 1:
            return Reason("listened_once_days_ago", {"days": days})
        return Reason("listened_times_days_ago", {"times": times, "days": days})
    return Reason("listened_once") if times == 1 else Reason("listened_times", {"times": times})
