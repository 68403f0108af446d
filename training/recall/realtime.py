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
from sequences.batch import FIRST
from training.data import TrainingData
from training.features import UserBatch
from training.recall.blended_search import UNCHOSEN, WEIGHTS, BlendedSearch
from training.recall.channel import Candidates
from training.recall.indexed_channel import IndexedChannel, some_requests
from training.recall.item_tower import ItemCodes
from training.recall.measure import recall_table, user_batches, worth
from training.recall.merge import Merged, histories_of, interleave, merge_clicks
from training.recall.realtime_config import RealtimeConfig, realtime_config
from training.recall.realtime_network import TASKS, RealtimeNetwork
from training.recall.transition_choice import learn
from training.recall.transitions import FILE, Transitions, joined
from training.recall.windows import WindowSampler
from training.recall_cases import RecallCases
from training.vocabulary import Vocabulary
from training.workspace import write_json

JUST_NOW_US = 3_600_000_000


class Realtime(IndexedChannel):
    """Nearest items to two user vectors: what will be listened to next, and what of it is new to the user."""

    name: ClassVar[str] = "realtime"
    feature_service: ClassVar[str] = "realtime"
    kept_over_seeds: ClassVar[tuple[str, ...]] = ("transition_numbers",)

    def __init__(
        self, config: RealtimeConfig, network: RealtimeNetwork, catalogue: np.ndarray, vocabulary: Vocabulary
    ) -> None:
        self.settled = config
        self.network = network.eval()
        self.catalogue = catalogue
        self.vocabulary = vocabulary
        self.transitions: Transitions | None = None
        self._measures: dict[str, Any] = {}
        self.refresh()

    @classmethod
    def config(cls, recipe: str) -> RealtimeConfig:
        """See `realtime_config`."""
        return realtime_config(recipe)

    @property
    def codes(self) -> ItemCodes:
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
        from training import ranks, trainer
        from training.recall.realtime_learner import RealtimeLearner, WindowLoss

        trainer.use_threads()
        torch.manual_seed(config.seed)
        sampler = WindowSampler(data, config.length, config.horizon, config.balance, config.windows)
        codes = ItemCodes.of(data, sampler.count_V, config.least_plays, config.content)
        network = RealtimeNetwork(config, codes)
        # Its index is exact as long as it learns; which one it gets is decided by what was learned.
        channel = cls(replace(config, probes=None), network, np.flatnonzero(data.catalogue_V), data.vocabulary)
        if not len(sampler) or not data.catalogue_V.any():
            return channel
        cases = data.recall_cases("validation").sample(config.cases_per_user, config.seed, config.most_cases)
        is_choosing = config.stop_after is None and len(cases) > 0
        is_lacking = config.transitions and None in (config.transition_numbers, config.transition_weight)
        is_asking = is_choosing or channel.lacks_boundaries(cases) or is_lacking
        batches = user_batches(data, cases, cls.feature_service) if is_asking and ranks.is_first() else []
        tables: dict[float, dict[str, float]] = {}

        def validate() -> float:
            channel.refresh()
            found = [channel.recall(users, max(config.judged_at)).items_BK for users in batches]
            table = recall_table(np.concatenate(found), cases, config.judged_at)
            value = worth(table, config.judged_at)
            tables[value] = table
            return value

        schedule = trainer.Schedule(
            config.stop_after or config.steps,
            config.validate_every if is_choosing else 0,
            config.patience,
            seed=config.seed,
        )
        loss = WindowLoss(network.train(), config, sampler, data.catalogue_V)
        learner = RealtimeLearner(network, config, loss)
        record = trainer.fit(
            learner,
            loss.batch_at,
            schedule,
            folder,
            validate if is_choosing else None,
            mixed=True,
        )
        network.eval()
        channel.settled = replace(config, stop_after=record.steps)
        channel.settle_boundaries(cases, batches)
        learned = channel.settle_transitions(data, sampler, cases, batches, validate)
        index = channel.settle_index(lambda: some_requests(data, cls.feature_service, config.seed))
        channel._measures = asdict(record) | {"validation": tables.get(record.value or 0.0, {}), "index": index}
        channel._measures |= learned
        return channel

    def settle_transitions(
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
        asked = [histories_of(merge_clicks(users, self.settled.length)) for users in batches]
        self.settled, self.transitions, known = learn(
            self.settled, sampler.histories, asked, cases, data.catalogue_V, self.name
        )
        if self.transitions is not None and self.settled.transition_weight is None:
            worths = {}
            for weight in WEIGHTS if batches else (UNCHOSEN,):
                self.settled = replace(self.settled, transition_weight=weight)
                worths[weight] = validate() if batches else 0.0
            self.settled = replace(self.settled, transition_weight=max(worths, key=worths.__getitem__))
            known["weights"] = worths
        return {"transitions": known} if known else {}

    def measures(self) -> dict[str, Any]:
        """Steps, seconds and validation recall."""
        return self._measures

    @torch.inference_mode()
    def recall(self, users: UserBatch, k: int) -> Candidates:
        """Nothing for a request without a single known event; else `k` items, `new_share` of them unheard."""
        items_BK = np.zeros((len(users), k), dtype=np.int64)
        rows, query = self.asked(users)
        if not len(rows):
            return Candidates.in_order(items_BK)
        share = self.settled.new_share
        # One pass over the index for both tasks; what is heard is left out of the second.
        tasks = TASKS if share > 0 else TASKS[:1]
        heard_BH = users.heard_BH[rows]
        left_out = np.concatenate([heard_BH if task == "new" else np.zeros_like(heard_BH) for task in tasks])
        least_B = np.repeat([self.least(task) for task in tasks], len(rows))
        query_BD = torch.cat([query[task] for task in tasks])
        if self.transitions is None or self.settled.transition_weight is None:
            found, _ = self.index.search_best(query_BD, k, left_out, least_B)
        else:
            blended = BlendedSearch(self.index, self.transitions, self.settled.transition_weight)
            of_users = histories_of(self._merged(users)).take(rows)
            found, _ = blended.search_best(query_BD[:, 0], joined([of_users] * len(tasks)), k, left_out, least_B)
        items_BK[rows] = interleave(found[: len(rows)], found[len(rows) :], share, k) if share > 0 else found
        return Candidates.in_order(items_BK)

    @torch.no_grad()
    def asked(self, users: UserBatch) -> tuple[np.ndarray, dict[str, torch.Tensor]]:
        """Of the requests with a known event one query a task."""
        merged = self._merged(users)
        rows = np.flatnonzero(merged.length_B > 0)
        if not len(rows):
            return rows, {}
        state_BD, ahead_B = self._state(merged.take(rows), users.request_at_B[rows])
        return rows, {task: self.network.query(task, state_BD, ahead_B)[:, None] for task in TASKS}

    def _merged(self, users: UserBatch) -> Merged:
        def make() -> Merged:
            return merge_clicks(users, self.settled.length)

        # A request alone is asked why, too; of the batches of a fit it would only take memory.
        return users.once(self, make) if len(users) == 1 else make()

    def _state(self, merged: Merged, request_at_B: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        columns = {name: torch.from_numpy(column) for name, column in merged.columns.items()}
        length_B = torch.from_numpy(merged.length_B)
        state_BD = self.network.last_states(columns["track_id"], columns["behaviour"], columns["gap"], length_B)
        ended_B = columns["ended_at"][torch.arange(len(length_B)), length_B - 1]
        return state_BD, torch.from_numpy(request_at_B) - ended_B

    @torch.no_grad()
    def reasons(self, user: UserBatch, items: Sequence[int]) -> list[str]:
        """Names the recent track that is closest to each of `items`."""
        heard = self.listened(user)
        if not len(heard):
            return ["because it fits what is playing now"] * len(items)
        vector_LD, vector_ND = (self.network.vectors(torch.as_tensor(of, dtype=torch.int64)) for of in (heard, items))
        closest_N = heard[(vector_ND @ vector_LD.T).argmax(1).numpy()]
        lately, just_now = set(heard.tolist()), self.just_now(user)
        itself = dict.fromkeys(lately, "because it is among the last songs that you played")
        itself |= dict.fromkeys(just_now & lately, "because you played it just now")
        return [
            itself[item] if item in itself else self.because_of(int(closest), just_now)
            for item, closest in zip(items, closest_N, strict=True)
        ]

    def because_of(self, item: int, just_now: set[int]) -> str:
        """That `item` is one of the recent events, and `just_now` only where it is: an export may have ended months ago."""
        track = self.vocabulary.describe(item)
        if item in just_now:
            return f"because you played {track} just now"
        return f"because {track} is among the last songs that you played"

    def just_now(self, user: UserBatch) -> set[int]:
        """The items of events that ended less than an hour before the single request `user`."""
        merged = self._merged(user)
        length = merged.length_B[0]
        is_now = merged.columns["ended_at"][0][:length] > user.request_at_B[0] - JUST_NOW_US
        return set(merged.columns["track_id"][0][:length][is_now].tolist())

    def listened(self, user: UserBatch) -> np.ndarray:
        """The items of the recent events of the single request `user`, oldest first, without skips where there are others."""
        merged = self._merged(user)
        heard: np.ndarray = merged.columns["track_id"][0][: merged.length_B[0]]
        skip = behaviours.load().encoder["skip"]
        wanted = (heard >= FIRST) & (merged.columns["behaviour"][0][: len(heard)] != skip)
        return heard[wanted] if wanted.any() else heard[heard >= FIRST]

    def near(self, item: int, k: int) -> Candidates:
        """By item vectors."""
        return self.nearest(item, k)

    def save(self, folder: Path) -> None:
        """Config as JSON, weights, item codes and transitions as safetensors, the catalogue as one array."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "realtime.json", asdict(self.settled))
        tensors = {name: tensor.contiguous() for name, tensor in self.network.state_dict().items()}
        save_file(tensors, folder / "realtime.safetensors")
        np.save(folder / "catalogue.npy", self.catalogue, allow_pickle=False)
        if self.transitions is not None:
            self.transitions.save(folder)

    @classmethod
    def load(cls, folder: Path, vocabulary: Vocabulary) -> Self:
        """What `save` wrote."""
        config = RealtimeConfig(**json.loads((folder / "realtime.json").read_text()))
        tensors = load_file(folder / "realtime.safetensors")
        codes = ItemCodes.read(tensors, "items.codes.")
        network = RealtimeNetwork(config, codes)
        network.load_state_dict(tensors)
        channel = cls(config, network, np.load(folder / "catalogue.npy", allow_pickle=False), vocabulary)
        if config.transition_numbers is not None and (folder / FILE).exists():
            channel.transitions = Transitions.load(folder, config.transition_numbers)
        return channel
