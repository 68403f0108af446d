"""Configs of the long_short channel, and the scores of a user's history by a trained `LongShortNetwork`
(`training.networks.long_short`, which describes the network).

Legend: M repeat items (tracks of the history), F repeat features, P decays, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from config.dataclass_io import Section
from recommender.array_types import Floats, Ints, Weights
from recommender.nn.compiled_layers import Dense, attend, dense, feed_forward, gelu, normalize, unit_rows
from recommender.recall.next_item import (
    FACET_VECTORS,
    ITEM_VECTORS,
    NextItemConfig,
    NextItemProgram,
    SampledSoftmaxConfig,
    WindowSamplingConfig,
    part_of,
)
from recommender.recall.repeat_features import ACTIVATIONS


@dataclass(frozen=True)
class RepeatScorerConfig(Section):
    """Long-term interest and the score of repeated tracks; see `LongShortNetwork`."""

    hidden: int
    max_repeat_items: int


@dataclass(frozen=True)
class SessionSamplingConfig(WindowSamplingConfig):
    """Sampling of past sessions, and of as many event windows."""

    min_history_plays: int
    targets_per_session: int


@dataclass(frozen=True)
class LongShortLossConfig(SampledSoftmaxConfig):
    """Repeat loss plus item losses."""

    item_weight: float


@dataclass(frozen=True)
class LongShortConfig(NextItemConfig):
    """Configuration of the long_short channel; `training/recipes/small.yaml` says what its fields mean."""

    repeats: RepeatScorerConfig
    sampling: SessionSamplingConfig
    loss: LongShortLossConfig
    discovery_share_grid: tuple[float, ...]
    discovery_share: float | None = None  # fraction of candidates that are new to the user; None: tuned on validation


class LongShortProgram:
    """A trained `LongShortNetwork` for one request, compiled."""

    def __init__(self, config: LongShortConfig, weights: Weights) -> None:
        self.vector_VD, self.facet_VD = weights[ITEM_VECTORS], weights[FACET_VECTORS]
        short = part_of(weights, "short.")
        self.short = NextItemProgram(config, {**short, ITEM_VECTORS: self.vector_VD})
        self.artist_XD, self.artist_V = short["items.artist.weight"], short["items.codes.artist_V"]
        self.mean_F, self.deviation_F = weights["mean_F"], weights["deviation_F"]
        names = {name.removesuffix(".weight") for name, array in weights.items() if array.ndim == 2}
        self.layers = {name: Dense.of(weights, name) for name in names if f"{name}.bias" in weights}
        for name in names:
            if name.startswith("sets.") and name.endswith(".query"):
                self.layers[name] = self.layers[name].scale_first(config.items.width, config.items.width**-0.5)
        self.long_norm_D, self.long_bias_D = weights["long_norm.weight"], weights["long_norm.bias"]
        mixture_P = weights["mixture_P"]
        self.log_mixture_P = mixture_P - np.logaddexp.reduce(mixture_P)

    def score(
        self, events: Sequence[Ints], query_gap: int, repeat_item_M: Ints, feature_MF: Floats
    ) -> tuple[Floats, Floats]:
        """Query [1, D] of the task `new`, and repeat scores [M].

        Args:
            events: Tracks, behaviors and gaps (µs) of the most recent events.
            query_gap: µs from the end of the last event to the request.
            repeat_item_M: Tracks of the history.
            feature_MF: Their repeat features.
        """
        layers, width = self.layers, self.artist_XD.shape[1]
        short_1D = long_1D = np.zeros((1, width), dtype=np.float32)
        if len(events[0]):
            short_1D = dense(self.short.last_state(*events), layers["to_short"])
        normal_MF = np.minimum(np.maximum((feature_MF - self.mean_F) / self.deviation_F, -5), 5)
        summary_F2 = np.zeros((2, len(self.mean_F)), dtype=np.float32)
        if len(normal_MF):
            summary_F2[0] = np.add.reduce(normal_MF) / np.float32(len(normal_MF))
            summary_F2[1] = np.maximum.reduce(normal_MF)
        user_1D = feed_forward(summary_F2.reshape(1, -1), layers["user.0"], layers["user.2"])
        facets = self._facet_vectors(repeat_item_M)
        if len(normal_MF):
            read = [self._read_set(name, user_1D, facet_MD) for name, facet_MD in facets.items()]
            read_1D = normalize(dense(np.concatenate(read, axis=1), layers["to_long"]))
            long_1D = read_1D * self.long_norm_D + self.long_bias_D
        gate_1D = 1 / (1 + np.exp(-dense(np.concatenate([short_1D, long_1D, user_1D], axis=1), layers["gate"])))
        gated_1D = gate_1D * short_1D + (1 - gate_1D) * long_1D
        query = self.short.query("next", gated_1D, query_gap), unit_rows(short_1D), unit_rows(long_1D)
        vector_MD = unit_rows(facets["track"] + facets["artist"] + facets["facet"])
        similarity_M3 = 3 * vector_MD @ np.concatenate(query).T
        return self.short.query("new", gated_1D, query_gap), self._repeat_scores(feature_MF, normal_MF, similarity_M3)

    def _read_set(self, name: str, user_1D: Floats, member_MD: Floats) -> Floats:
        query, value = self.layers[f"sets.{name}.query"], self.layers[f"sets.{name}.value"]
        return dense(attend(dense(user_1D, query), member_MD, member_MD, 1, False), value)

    def _repeat_scores(self, feature_MF: Floats, normal_MF: Floats, similarity_M3: Floats) -> Floats:
        layers = self.layers
        hidden_MX = feed_forward(np.concatenate([normal_MF, similarity_M3], axis=1), layers["deep.0"], layers["deep.3"])
        gelu(hidden_MX)
        score_M = dense(hidden_MX, layers["deep.5"])[:, 0] + dense(normal_MF, layers["wide"])[:, 0]
        activation_M: Floats = np.logaddexp.reduce(feature_MF[:, ACTIVATIONS] + self.log_mixture_P, axis=1)
        return score_M + activation_M

    def _facet_vectors(self, items: Ints) -> dict[str, Floats]:
        vector_MD, facet_MD = self.vector_VD[items], self.facet_VD[items]
        artist_MD = self.artist_XD[self.artist_V[items]]
        return {"track": vector_MD - artist_MD - facet_MD, "artist": artist_MD, "facet": facet_MD}
