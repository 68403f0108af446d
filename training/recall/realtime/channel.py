"""What the user is in the mood for right now: a vector computed at request time from the freshest plays and clicks.

Legend: B requests, L events, K candidates, H heard items, D width. The network and its sources are described in
`user_tower.py`, `realtime_network.py` and `sampled_softmax.py`. Different from SASRec: a target is one of the next
`horizon` listened tracks instead of the very next play, as a whole session is asked for; and a second query asks for
tracks never heard before, which fill `new_share` of the answer. With `transitions` both lists are ordered by the network
and by linear transitions together (`blended_search.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from sequences import behaviours
from sequences.batch import FIRST_CODE
from training.data.recall_at_k import load_user_batches, recall_table, validation_objective
from training.data.recall_cases import RecallCases
from training.data.training_data import TrainingData
from training.data.user_batch import UserBatch
from training.data.vocabulary import Vocabulary
from training.engine.workspace import write_json
from training.nn.item_tower import ItemCodes
from training.recall.channel import Candidates
from training.recall.neural_channel import NeuralChannel, sample_tuning_requests
from training.recall.realtime.blended_search import DEFAULT_TRANSITION_WEIGHT, TRANSITION_WEIGHT_GRID, BlendedSearch
from training.recall.realtime.config import RealtimeConfig, realtime_config
from training.recall.realtime.model import TASKS, RealtimeNetwork
from training.recall.realtime.transition_tuning import tune_and_fit_transitions
from training.recall.realtime.transitions import TRANSITIONS_FILE, Transitions, concatenate_histories
from training.recall.reason import Reason, track_phrase
from training.recall.sequence_merge import MergedSequences, interleave, listened_histories, merge_clicks
from training.recall.window_sampler import WindowSampler

JUST_NOW_US = 3_600_000_000


class Realtime(NeuralChannel):
    """Nearest items to two user vectors: what will be listened to next, and what of it is new to the user."""

    name: ClassVar[str] = "realtime"
    feature_service: ClassVar[str] = "realtime"
    seed_independent_fields: ClassVar[tuple[str, ...]] = ("transition_config",)

    def __init__(
        self, config: RealtimeConfig, network: RealtimeNetwork, catalogue: np.ndarray, vocabulary: Vocabulary
    ) -> None:
        self.resolved_config = config
        self.network = network.eval()
        self.catalog = catalogue
        self.vocabulary = vocabulary
        self.transitions: Transitions | None = None
        self._measures: dict[str, Any] = {}
        self.rebuild_index()

    @classmethod
    def config(cls, recipe: str) -> RealtimeConfig:
        """See `realtime_config`."""
        return realtime_config(recipe)

    @property
    def item_codes(self) -> ItemCodes:
        """See `IndexedChannel`."""
        return self.network.items.codes

    def vectors(self, items: torch.Tensor, as_cold: bool = False) -> torch.Tensor:
        """See `IndexedChannel`."""
        return self.network.vectors(items, as_cold)

    @classmethod
    def fit(cls, data: TrainingData, config: RealtimeConfig, folder: Path) -> Realtime:
        """Train on windows of the event table; stop where validation recall stops growing, or after `stop_after`
        steps.
        """
        # Imported here: whoever asks a trained channel, as the service does, need not wait for what trains one.
        from training.engine import distributed, trainer
        from training.recall.realtime.objective import RealtimeLearner, WindowLoss

        trainer.configure_threads()
        torch.manual_seed(config.seed)
        sampler = WindowSampler(data, config.length, config.horizon, config.user_sampling_exponent, config.window_kind)
        codes = ItemCodes.of(data, sampler.count_V, config.min_plays, config.content)
        network = RealtimeNetwork(config, codes)
        # Its index is exact as long as it learns; which one it gets is decided by what was learned.
        channel = cls(replace(config, probes=None), network, np.flatnonzero(data.catalog_V), data.vocabulary)
        if not len(sampler) or not data.catalog_V.any():
            return channel
        cases = data.recall_cases("validation").sample(config.cases_per_user, config.seed, config.max_validation_cases)
        is_choosing = config.early_stopping_step is None and len(cases) > 0
        is_lacking = config.transitions and None in (config.transition_config, config.transition_weight)
        is_asking = is_choosing or channel.needs_cold_item_thresholds(cases) or is_lacking
        batches = load_user_batches(data, cases, cls.feature_service) if is_asking and distributed.is_rank0() else []
        tables: dict[float, dict[str, float]] = {}

        def validate() -> float:
            channel.rebuild_index()
            found = [channel.recall(users, max(config.eval_cutoffs)).items_BK for users in batches]
            table = recall_table(np.concatenate(found), cases, config.eval_cutoffs)
            value = validation_objective(table, config.eval_cutoffs)
            tables[value] = table
            return value

        schedule = trainer.Schedule(
            config.early_stopping_step or config.steps,
            config.validate_every if is_choosing else 0,
            config.patience,
            seed=config.seed,
        )
        loss = WindowLoss(network.train(), config, sampler, data.catalog_V)
        learner = RealtimeLearner(network, config, loss)
        record = trainer.fit(
            learner,
            loss.batch_at,
            schedule,
            folder,
            validate if is_choosing else None,
            mixed_precision=True,
        )
        network.eval()
        channel.resolved_config = replace(config, early_stopping_step=record.steps)
        channel.fit_cold_item_thresholds(cases, batches)
        learned = channel.fit_transitions(data, sampler, cases, batches, validate)
        index = channel.fit_index(lambda: sample_tuning_requests(data, cls.feature_service, config.seed))
        channel._measures = asdict(record) | {"validation": tables.get(record.value or 0.0, {}), "index": index}
        channel._measures |= learned
        return channel

    def fit_transitions(
        self,
        data: TrainingData,
        sampler: WindowSampler,
        cases: RecallCases,
        batches: Sequence[UserBatch],
        validate: Callable[[], float],
    ) -> dict[str, Any]:
        """Learn linear transitions where the config has them, and choose what is not chosen yet of their numbers and of
        their weight beside the network; what is known of them.
        """
        asked = [listened_histories(merge_clicks(users, self.resolved_config.length)) for users in batches]
        self.resolved_config, self.transitions, known = tune_and_fit_transitions(
            self.resolved_config, sampler.histories, asked, cases, data.catalog_V, self.name
        )
        if self.transitions is not None and self.resolved_config.transition_weight is None:
            worths = {}
            for weight in TRANSITION_WEIGHT_GRID if batches else (DEFAULT_TRANSITION_WEIGHT,):
                self.resolved_config = replace(self.resolved_config, transition_weight=weight)
                worths[weight] = validate() if batches else 0.0
            self.resolved_config = replace(self.resolved_config, transition_weight=max(worths, key=worths.__getitem__))
            known["weights"] = worths
        return {"transitions": known} if known else {}

    def measures(self) -> dict[str, Any]:
        """Steps, seconds and validation recall."""
        return self._measures

    @torch.inference_mode()
    def recall(self, users: UserBatch, k: int) -> Candidates:
        """Nothing for a request without a single known event; else `k` items, `new_share` of them unheard."""
        items_BK = np.zeros((len(users), k), dtype=np.int64)
        rows, query = self.encode_queries(users)
        if not len(rows):
            return Candidates.from_ranking(items_BK)
        share = self.resolved_config.discovery_share
        # One pass over the index for both tasks; what is heard is left out of the second.
        tasks = TASKS if share > 0 else TASKS[:1]
        heard_BH = users.history_items_BH[rows]
        left_out = np.concatenate([heard_BH if task == "new" else np.zeros_like(heard_BH) for task in tasks])
        least_B = np.repeat([self.cold_item_threshold(task) for task in tasks], len(rows))
        query_BD = torch.cat([query[task] for task in tasks])
        if self.transitions is None or self.resolved_config.transition_weight is None:
            found, _ = self.index.search_best(query_BD, k, left_out, least_B)
        else:
            blended = BlendedSearch(self.index, self.transitions, self.resolved_config.transition_weight)
            of_users = listened_histories(self._merged_sequences(users)).take(rows)
            found, _ = blended.search_best(
                query_BD[:, 0], concatenate_histories([of_users] * len(tasks)), k, left_out, least_B
            )
        items_BK[rows] = interleave(found[: len(rows)], found[len(rows) :], share, k) if share > 0 else found
        return Candidates.from_ranking(items_BK)

    @torch.no_grad()
    def encode_queries(self, users: UserBatch) -> tuple[np.ndarray, dict[str, torch.Tensor]]:
        """Of the requests with a known event one query a task."""
        merged = self._merged_sequences(users)
        rows = np.flatnonzero(merged.length_B > 0)
        if not len(rows):
            return rows, {}
        state_BD, ahead_B = self._encode_state(merged.take(rows), users.request_at_B[rows])
        return rows, {task: self.network.query(task, state_BD, ahead_B)[:, None] for task in TASKS}

    def _merged_sequences(self, users: UserBatch) -> MergedSequences:
        def make() -> MergedSequences:
            return merge_clicks(users, self.resolved_config.length)

        # A request alone is asked why, too; of the batches of a fit it would only take memory.
        return users.get_or_compute(self, make) if len(users) == 1 else make()

    def _encode_state(self, merged: MergedSequences, request_at_B: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        columns = {name: torch.from_numpy(column) for name, column in merged.columns.items()}
        length_B = torch.from_numpy(merged.length_B)
        state_BD = self.network.last_states(columns["track_id"], columns["behaviour"], columns["gap"], length_B)
        ended_B = columns["ended_at"][torch.arange(len(length_B)), length_B - 1]
        return state_BD, torch.from_numpy(request_at_B) - ended_B

    @torch.no_grad()
    def reasons(self, user: UserBatch, items: Sequence[int]) -> list[Reason]:
        """Names the recent track that is closest to each of `items`."""
        heard = self.recent_listens(user)
        if not len(heard):
            return [Reason("fits_session")] * len(items)
        vector_LD, vector_ND = (self.network.vectors(torch.as_tensor(of, dtype=torch.int64)) for of in (heard, items))
        closest_N = heard[(vector_ND @ vector_LD.T).argmax(1).numpy()]
        lately, just_now = set(heard.tolist()), self.recently_ended_items(user)
        itself = dict.fromkeys(lately, Reason("played_recently"))
        itself |= dict.fromkeys(just_now & lately, Reason("played_just_now"))
        return [
            itself[item] if item in itself else self.explain_by_track(int(closest), just_now)
            for item, closest in zip(items, closest_N, strict=True)
        ]

    def explain_by_track(self, item: int, just_now: set[int]) -> Reason:
        """That `item` is one of the recent events, and `just_now` only where it is: an export may have ended months ago."""
        track = track_phrase(self.vocabulary, item)
        if item in just_now:
            return Reason("played_track_just_now", {"track": track})
        return Reason("played_track_recently", {"track": track})

    def recently_ended_items(self, user: UserBatch) -> set[int]:
        """The items of events that ended less than an hour before the single request `user`."""
        merged = self._merged_sequences(user)
        length = merged.length_B[0]
        is_now = merged.columns["ended_at"][0][:length] > user.request_at_B[0] - JUST_NOW_US
        return set(merged.columns["track_id"][0][:length][is_now].tolist())

    def recent_listens(self, user: UserBatch) -> np.ndarray:
        """The items of the recent events of the single request `user`, oldest first, without skips where there are others."""
        merged = self._merged_sequences(user)
        heard: np.ndarray = merged.columns["track_id"][0][: merged.length_B[0]]
        skip = behaviours.load_behaviours().encoder["skip"]
        wanted = (heard >= FIRST_CODE) & (merged.columns["behaviour"][0][: len(heard)] != skip)
        return heard[wanted] if wanted.any() else heard[heard >= FIRST_CODE]

    def similar_items(self, item: int, k: int) -> Candidates:
        """By item vectors."""
        return self.nearest_items(item, k)

    def save(self, folder: Path) -> None:
        """Config as JSON, weights, item codes and transitions as safetensors, the catalogue as one array."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "realtime.json", asdict(self.resolved_config))
        tensors = {name: tensor.contiguous() for name, tensor in self.network.state_dict().items()}
        save_file(tensors, folder / "realtime.safetensors")
        np.save(folder / "catalogue.npy", self.catalog, allow_pickle=False)
        if self.transitions is not None:
            self.transitions.save(folder)

    @classmethod
    def load(cls, folder: Path, vocabulary: Vocabulary) -> Self:
        """What `save` wrote."""
        config = RealtimeConfig(**json.loads((folder / "realtime.json").read_text()))
        tensors = load_file(folder / "realtime.safetensors")
        codes = ItemCodes.from_state_dict(tensors, "items.codes.")
        network = RealtimeNetwork(config, codes)
        network.load_state_dict(tensors)
        channel = cls(config, network, np.load(folder / "catalogue.npy", allow_pickle=False), vocabulary)
        if config.transition_config is not None and (folder / TRANSITIONS_FILE).exists():
            channel.transitions = Transitions.load(folder, config.transition_config)
        return channel
