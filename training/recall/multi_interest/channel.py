"""A user as several people: one vector for each interest that a long history shows, and candidates from each.

Legend: B requests, L listens, K interests (and k candidates), H heard items, D width. The network and
its sources are described in `multi_interest_network.py`. Different from MIND and ComiRec: a target is one of the next
`horizon` listened tracks instead of the very next one; interests that point the same way are asked once; and every
interest has a second query for tracks never heard before, which fill `new_share` of the answer, as in the realtime
channel.
"""

from __future__ import annotations

import json
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
from training.data.user_history import HISTORY_VIEW, LISTEN_BEHAVIOURS, has_behaviour, is_listened
from training.data.vocabulary import Vocabulary
from training.engine.workspace import write_json
from training.nn.item_tower import ItemCodes
from training.recall.channel import Candidates
from training.recall.multi_interest.config import MultiInterestConfig, multi_interest_config
from training.recall.multi_interest.interest_names import InterestNames
from training.recall.multi_interest.model import Interests, MultiInterestNetwork
from training.recall.neural_channel import NeuralChannel, sample_tuning_requests
from training.recall.realtime.model import TASKS
from training.recall.reason import Reason
from training.recall.sequence_merge import interleave
from training.recall.window_sampler import POSITIVE_BEHAVIOURS, WindowSampler


@dataclass(frozen=True)
class Interest:
    """One interest of a user: what it is called, its share of the listens, and its distinct tracks by index."""

    name: str
    share: float
    items: np.ndarray


class MultiInterest(NeuralChannel):
    """Nearest items to every interest, merged by best score; `interests` shows them to people.

    What the user has heard is left out of the part that asks for discoveries, and of that part only: the papers
    recommend whatever is nearest, but in music most of that is known to the user.
    """

    name: ClassVar[str] = "multi_interest"
    feature_service: ClassVar[str] = "multi_interest"

    def __init__(
        self,
        config: MultiInterestConfig,
        network: MultiInterestNetwork,
        catalogue: np.ndarray,
        names: InterestNames,
    ) -> None:
        self.resolved_config = config
        self.network = network.eval()
        self.catalog = catalogue
        self.interest_names = names
        self._measures: dict[str, Any] = {}
        self._is_fitted = False
        self.rebuild_index()

    @classmethod
    def config(cls, recipe: str) -> MultiInterestConfig:
        """See `multi_interest_config`."""
        return multi_interest_config(recipe)

    @property
    def item_codes(self) -> ItemCodes:
        """See `IndexedChannel`."""
        return self.network.items.codes

    def vectors(self, items: torch.Tensor, as_cold: bool = False) -> torch.Tensor:
        """See `IndexedChannel`."""
        return self.network.vectors(items, as_cold)

    @classmethod
    def fit(cls, data: TrainingData, config: MultiInterestConfig, folder: Path) -> MultiInterest:
        """Train on windows of the event table; stop where validation recall stops growing, or after `stop_after`
        steps.
        """
        # Imported here: whoever asks a trained channel, as the service does, need not wait for what trains one.
        from training.engine import distributed, trainer
        from training.recall.multi_interest.objective import MultiInterestLearner

        trainer.configure_threads()
        torch.manual_seed(config.seed)
        sampler = WindowSampler(
            data, config.length + config.targets_per_window - 1, config.horizon, config.user_sampling_exponent
        )
        codes = ItemCodes.of(data, sampler.count_V, config.min_plays, config.content)
        network = MultiInterestNetwork(config, codes)
        names = InterestNames.of(data, codes.facet_VF.numpy())
        # Its index is exact as long as it learns; which one it gets is decided by what was learned.
        channel = cls(replace(config, probes=None), network, np.flatnonzero(data.catalog_V), names)
        if not len(sampler) or not data.catalog_V.any():
            return channel
        cases = data.recall_cases("validation").sample(config.cases_per_user, config.seed)
        is_choosing = config.early_stopping_step is None and len(cases) > 0
        is_asking = is_choosing or channel.needs_cold_item_thresholds(cases)
        batches = load_user_batches(data, cases, cls.feature_service) if is_asking and distributed.is_rank0() else []
        tables: dict[float, dict[str, float]] = {}

        def validate() -> float:
            channel.rebuild_index()
            table = recall_table(np.concatenate([channel.recall(users, 200).items_BK for users in batches]), cases)
            value = validation_objective(table)
            tables[value] = table
            return value

        schedule = trainer.Schedule(
            config.early_stopping_step or config.steps,
            config.validate_every if is_choosing else 0,
            config.patience,
            seed=config.seed,
        )
        learner = MultiInterestLearner(network.train(), config, sampler, data.catalog_V)
        record = trainer.fit(
            learner, learner.batch_at, schedule, folder, validate if is_choosing else None, mixed_precision=True
        )
        network.eval()
        channel.resolved_config = replace(config, early_stopping_step=record.steps)
        channel.fit_cold_item_thresholds(cases, batches)
        index = channel.fit_index(lambda: sample_tuning_requests(data, cls.feature_service, config.seed))
        channel._measures = asdict(record) | {"validation": tables.get(record.value or 0.0, {}), "index": index}
        return channel

    def measures(self) -> dict[str, Any]:
        """Steps, seconds and validation recall."""
        return self._measures

    @torch.inference_mode()
    def recall(self, users: UserBatch, k: int) -> Candidates:
        """Nothing for a request without a single known listen; else `k` items, `new_share` of them unheard."""
        (_, interests), share = self._interests(users), self.resolved_config.discovery_share
        has_any_B = interests.is_active_BK.any(1).numpy()
        # One pass over the index for both tasks; what is heard is left out of the second.
        tasks = [task for task, part in zip(TASKS, (1 - share, share), strict=True) if part > 0]
        heard_BH = users.history_items_BH
        left_out = np.concatenate([heard_BH if task == "new" else np.zeros_like(heard_BH) for task in tasks])
        # An interest that no request has would be asked for in the place of one that some have: only time is lost.
        vector_BKD = _fill_missing_interests(interests)[:, interests.is_active_BK.any(0)]
        query_BKD = torch.cat([self.network.query(task, vector_BKD) for task in tasks])
        least_B = np.repeat([self.cold_item_threshold(task) for task in tasks], len(users))
        found, _ = self.index.search_best(query_BKD, k, left_out, least_B)
        nearest = dict(zip(tasks, np.split(found * np.tile(has_any_B, len(tasks))[:, None], len(tasks)), strict=True))
        nothing_BK = np.zeros((len(users), 0), dtype=np.int64)
        return Candidates.from_ranking(
            interleave(nearest.get("next", nothing_BK), nearest.get("new", nothing_BK), share, k)
        )

    @torch.no_grad()
    def encode_queries(self, users: UserBatch) -> tuple[np.ndarray, dict[str, torch.Tensor]]:
        """Of the requests with a known listen as many queries a task as there may be interests."""
        _, interests = self._interests(users)
        rows = np.flatnonzero(interests.is_active_BK.any(1).numpy())
        vector_BKD = _fill_missing_interests(interests)[rows]
        return rows, {task: self.network.query(task, vector_BKD) for task in TASKS}

    def _interests(self, users: UserBatch) -> tuple[np.ndarray, Interests]:
        """The listens [B, L] and the interests in them."""

        def make() -> tuple[np.ndarray, Interests]:
            config, item_BL = self.resolved_config, recent_listens(users, self.resolved_config.length)
            return item_BL, self.network.interests(torch.from_numpy(item_BL)).merge_similar(
                config.merge_cosine_threshold, config.min_interest_share
            )

        # While it learns, other weights are asked the same requests again.
        return users.get_or_compute(self, make) if self._is_fitted else make()

    @torch.no_grad()
    def interests(self, user: UserBatch) -> list[Interest]:
        """What the single request `user` is interested in, the largest interest first."""
        item_BL, interests = self._interests(user)
        item_L, of_listen_L = item_BL[0], interests.listen_interest_BL[0].numpy()
        number, count = np.unique(of_listen_L[of_listen_L >= 0], return_counts=True)
        found = [(np.unique(item_L[of_listen_L == one]), int(n)) for one, n in zip(number, count, strict=True)]
        found.sort(key=lambda one: -one[1])
        return [Interest(self.interest_names.name(items), n / int(count.sum()), items) for items, n in found]

    @torch.no_grad()
    def reasons(self, user: UserBatch, items: Sequence[int]) -> list[Reason]:
        """Names the interest that is closest to each of `items`."""
        item_BL, interests = self._interests(user)
        is_there_K = interests.is_active_BK[0]
        if not bool(is_there_K.any()):
            return [Reason("fits_interests")] * len(items)
        heard = set(user.history_items.items.tolist())  # `np.isin` takes ten times as long for so few
        is_new_N = torch.tensor([item not in heard for item in items], dtype=torch.bool)
        vector_ND = self.network.vectors(torch.tensor(items, dtype=torch.int64))
        next_NK, new_NK = (vector_ND @ self.network.query(task, interests.vector_BKD[0]).T for task in ("next", "new"))
        score_NK = torch.where(is_new_N[:, None], new_NK, next_NK).masked_fill(~is_there_K, -torch.inf)
        best_N = score_NK.argmax(1).tolist()
        of_listen_L = interests.listen_interest_BL[0].numpy()
        interest = {best: self.interest_names.name_parts(item_BL[0][of_listen_L == best]) for best in set(best_N)}
        return [Reason("listens_to_interest", {"interest": interest[best]}) for best in best_N]

    def similar_items(self, item: int, k: int) -> Candidates:
        """By item vectors."""
        return self.nearest_items(item, k)

    def save(self, folder: Path) -> None:
        """Config and facet values as JSON, weights and item codes as safetensors, the catalogue as one array."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(
            folder / "multi_interest.json", asdict(self.resolved_config) | {"facet_values": self.interest_names.value_F}
        )
        tensors = {name: tensor.contiguous() for name, tensor in self.network.state_dict().items()}
        save_file(tensors, folder / "multi_interest.safetensors")
        np.save(folder / "catalogue.npy", self.catalog, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path, vocabulary: Vocabulary) -> Self:
        """What `save` wrote."""
        stored = json.loads((folder / "multi_interest.json").read_text())
        values = stored.pop("facet_values")
        config = MultiInterestConfig(**stored)
        tensors = load_file(folder / "multi_interest.safetensors")
        codes = ItemCodes.from_state_dict(tensors, "items.codes.")
        network = MultiInterestNetwork(config, codes)
        network.load_state_dict(tensors)
        names = InterestNames(values, codes.facet_VF.numpy(), vocabulary)
        channel = cls(config, network, np.load(folder / "catalogue.npy", allow_pickle=False), names)
        channel._is_fitted = True
        return channel


def _fill_missing_interests(interests: Interests) -> torch.Tensor:
    """The interests' vectors; in the place of one that is not there, the vector of one that is."""
    first_B = interests.is_active_BK.int().argmax(1)
    first_B1D = interests.vector_BKD[torch.arange(len(first_B)), first_B][:, None]
    return interests.vector_BKD.where(interests.is_active_BK[..., None], first_B1D)


def recent_listens(users: UserBatch, length: int) -> np.ndarray:
    """The newest `length` known tracks that each user listened to or acted kindly on, oldest first, [B, L]; 0 where
    there are fewer, at the beginning.
    """
    history, recent = users.views[HISTORY_VIEW], users.views["recent_events"]
    is_act_BL = has_behaviour(recent, [name for name in POSITIVE_BEHAVIOURS if name not in LISTEN_BEHAVIOURS])
    item_BL = np.concatenate([history.columns["track_id"], recent.columns["track_id"]], axis=1)
    ended_BL = np.concatenate([history.columns["ended_at"], recent.columns["ended_at"]], axis=1)
    is_kept_BL = np.concatenate([is_listened(history), is_act_BL], axis=1) & (item_BL >= FIRST_CODE)
    newest_BL = np.argsort(np.where(is_kept_BL, ended_BL, -1), axis=1, kind="stable")[:, -length:]
    return np.take_along_axis(np.where(is_kept_BL, item_BL, 0), newest_BL, axis=1)
