"""The session-domains ranker for one request, compiled.

Users are encoded once, candidates in one call per sequence. Weights are merged where layers follow each other without a
nonlinearity between them. Results equal `SessionDomains` up to rounding.

Shape letters: C candidates, L events, N events of a sequence, S sessions, D width, H hidden, T tasks, I interests, X rows of
a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from recommender.array_types import Array, Floats, Ints, Weights
from recommender.compiled import compiled_reordering
from recommender.nn.compiled_layers import (
    EPSILON,
    Block,
    Decoder,
    Dense,
    activate_dice,
    add_interest,
    dense,
    mix_experts,
    normalize,
    transformer_block,
)
from recommender.ranking.features.ranking_features import UNKNOWN
from recommender.ranking.inputs import BEHAVIOR_CODES, SCENE_CODES, CandidateInputs, UserInputs
from recommender.ranking.ranker_config import RankerConfig
from recommender.ranking.session_domains.groups import (
    ATTENTION_HEADS,
    UNCLICKED_IMPRESSION,
    SessionDomainsConfig,
    groups_of,
)


class PiecewiseTable:
    """Computes `encoding(x) @ weight.T`, without gradients.

    A linear layer over the encoding of a number (`PiecewiseLinear`) is itself a piecewise linear function of the number, so
    its values and slopes at the breakpoints are computed once. A request then adds two rows per number, instead of
    multiplying the encoding, in which all pieces but one are 0 or 1, with the weights of all pieces. Shape letters: N rows,
    F features, M segments between breakpoints.

    Args:
        begin_FM: First number of each segment; all numbers below the first breakpoint belong to the first segment.
        length_FM: Length of each segment.
        row_XH: Result at the beginning of each segment, and its increase up to the next one, segment by segment.
    """

    def __init__(self, begin_FM: Floats, length_FM: Floats, row_XH: Floats) -> None:
        self.begin_FM, self.length_FM, self.row_XH = begin_FM, length_FM, row_XH

    @classmethod
    def of(cls, weights: Weights, encodings: Sequence[str], weight_HX: Floats) -> Self:
        """Return the table of encodings, one after the other, and the weights of their concatenated results."""
        lower_FK, width_FK = (
            np.concatenate([weights[f"{name}.{part}"].astype(np.float64) for name in encodings])
            for part in ("lower_FK", "width_FK")
        )
        F, K = lower_FK.shape
        weight_FKH = weight_HX.astype(np.float64).T.reshape(F, K, -1)
        # Pieces may overlap or be equal.
        point_FM = np.sort(np.concatenate([lower_FK, lower_FK + width_FK], axis=1), axis=1)
        encoded_FMK = np.clip((point_FM[..., None] - lower_FK[:, None]) / width_FK[:, None], 0, 1)
        value_FMH = encoded_FMK @ weight_FKH
        begin_FM = np.concatenate([np.full((F, 1), -np.inf), point_FM], axis=1)
        value_FMH = np.concatenate([value_FMH[:, :1], value_FMH], axis=1)
        gain_FMH = np.diff(value_FMH, axis=1, append=value_FMH[:, -1:])
        length_FM = np.diff(begin_FM, axis=1, append=np.inf)
        row_XH = np.stack([value_FMH, gain_FMH], axis=2).reshape(-1, value_FMH.shape[2])
        return cls(*(part.astype(np.float32) for part in (begin_FM, length_FM, row_XH)))

    def __call__(self, x_NF: Floats) -> Floats:
        """Return the products [N, H].

        Raises:
            ValueError: The rows have another number of features than the encodings. The compiled function does not check it
                and would write outside of its arrays.
        """
        F = x_NF.shape[1]
        if len(self.begin_FM) != F:
            raise ValueError(
                f"the rows have {F} dense features, the fitted encodings {len(self.begin_FM)}; "
                "fit the model again with this version of the features"
            )
        return _add_rows(self.begin_FM, self.length_FM, self.row_XH, x_NF)


@compiled_reordering
def _add_rows(begin_FM: Floats, length_FM: Floats, row_XH: Floats, x_NF: Floats) -> Floats:
    """Sums of two rows per number, the second weighted by the position of the number in its segment."""
    (F, M), H = begin_FM.shape, row_XH.shape[1]
    sum_NH = np.zeros((len(x_NF), H), dtype=np.float32)
    for n in range(len(x_NF)):
        for f in range(F):
            x, begun = x_NF[n, f], 0
            # Counting takes a third of the time of a binary search, whose branches are not predictable.
            for m in range(M):
                begun += int(begin_FM[f, m] <= x)
            m = max(begun, 1) - 1  # of NaN none is below
            row = 2 * (f * M + m)
            # The segments below and above all breakpoints are infinitely long and have no gain.
            weight = (x - begin_FM[f, m]) / length_FM[f, m] if 0 < m < M - 1 else np.float32(0)
            for h in range(H):
                sum_NH[n, h] += row_XH[row, h] + weight * row_XH[row + 1, h]
    return sum_NH


@dataclass(frozen=True)
class EncodedUser:
    """One user: outputs of the first layer and of the wide skip connection, and the keys and values of each sequence."""

    hidden_H: Floats
    wide_T: Floats
    read: list[Floats]  # [N, 2 · D] of each decoder; empty without events


class SessionDomainsProgram:
    """A trained `SessionDomains` with experts for one request, compiled. Sequences without events have no interest."""

    name: ClassVar[str] = "session_domains"
    feature_service: ClassVar[str] = "session_domains"
    config_class: ClassVar[type[RankerConfig]] = SessionDomainsConfig

    def __init__(self, config: SessionDomainsConfig, weights: Weights) -> None:
        D, reads = config.network.width, config.features
        self.groups, self.denoising_groups = groups_of(config)
        self.sequences = {"plays", *(group.sequence for group in self.groups)}
        self.identity = [
            (weights[f"embedding.{name}.row_of_V"], weights[f"embedding.{name}.table.weight"])
            for name in ("track", "artist")
        ]
        self.behavior_XD, self.ratio_XD, self.gap_XD = (
            weights[f"embedding.{name}.weight"] for name in ("behavior", "ratio", "gap")
        )
        self.user_features, self.match_features = reads.user_feature_count, reads.match_feature_count
        self.sessions = _merge_sessions(weights)
        # The first layer, in parts.
        times = [weights[f"{name}.weight"] for name in ("hour", "weekday", "scene")]
        user, own, match = (weights[f"{name}.lower_FK"].size for name in ("context", "features", "matches"))
        user_HX, *time_HX = _split_columns(weights["from_user.weight"], [user, *(len(one.T) for one in times)])
        wide_TY = weights.get("wide_skip_connection.weight", np.zeros((0, user + own + match), np.float32))
        self.context = PiecewiseTable.of(weights, ["context"], np.concatenate([user_HX, wide_TY[:, :user]]))
        self.time_XH = [table @ part_HX.T for table, part_HX in zip(times, time_HX, strict=True)]
        self.bias_H = weights["from_user.bias"] + weights["from_candidate.bias"]
        candidate_HX = weights["from_candidate.weight"]
        own_HX, parts_HX, match_HX = _split_columns(candidate_HX, [own, len(candidate_HX.T) - own - match, match])
        dense_XY = np.concatenate([np.concatenate([own_HX, match_HX], axis=1), wide_TY[:, user:]])
        self.dense = PiecewiseTable.of(weights, ["features", "matches"], dense_XY)
        self.item_DH, *parts_DH = np.ascontiguousarray(parts_HX.T).reshape(-1, D, len(self.bias_H))
        interests = len(parts_DH) // 2
        pairs = zip(parts_DH[:interests], parts_DH[interests:], strict=True)
        self.decoders = [
            _merge_decoder(weights, f"decoders.{number}", np.concatenate(pair)) for number, pair in enumerate(pairs)
        ]
        scale_H: Floats = 1 / np.sqrt(weights["activation.0.normalise.running_var"] + EPSILON)  # type: ignore[assignment]
        shift_H: Floats = -weights["activation.0.normalise.running_mean"] * scale_H
        self.dice = scale_H, shift_H, weights["activation.0.alpha"]
        last = np.ascontiguousarray(weights["head.weight_TD"].T), weights["head.bias_T"]
        self.head = Dense.of(weights, "head.experts"), Dense.of(weights, "head.gates"), *last
        trees_T = weights.get("tree_weights_T")
        self.tree_weights_T = None if trees_T is None or not trees_T.any() else trees_T

    def logits(self, users: UserInputs, candidates: CandidateInputs) -> Floats:
        """Return the logits [B, C, T], as `Ranker.logits`."""
        encoded = (self.encode_user(users, row) for row in range(len(users)))
        return np.stack([self.user_logits(user, candidates, row) for row, user in enumerate(encoded)])

    def encode_user(self, users: UserInputs, row: int) -> EncodedUser:
        """The user of one row of the inputs."""
        sequences = {name: getattr(users, name) for name in self.sequences}
        codes = {name: [part[row] for part in vars(events).values()] for name, events in sequences.items()}
        embedded = {name: self._embed(*codes_XL[:5]) for name, codes_XL in codes.items()}
        found, impressions = [], np.zeros((0, self.item_DH.shape[0]), dtype=np.float32)
        for group in self.groups:
            (position_X,) = group.has_code[codes[group.sequence][2]].nonzero()
            newest_N = position_X[::-1][: group.length]
            found.append(embedded[group.sequence][newest_N])
            impressions = found[-1] if group.name == UNCLICKED_IMPRESSION else impressions
        found.append(self._pool_sessions(embedded["plays"], codes["plays"][5]))
        found += [impressions] * len(self.denoising_groups)
        read = [
            dense(normalize(event_ND), decoder.keys_values) if len(event_ND) else event_ND
            for event_ND, decoder in zip(found, self.decoders, strict=True)
        ]
        H = len(self.bias_H)
        context_X = self.context(users.context_BU[row : row + 1, : self.user_features])[0]
        hour_XH, weekday_XH, scene_XH = self.time_XH
        hour, weekday, scene = (int(codes_B[row]) for codes_B in (users.hour_B, users.weekday_B, users.scene_B))
        hidden_H = context_X[:H] + self.bias_H + hour_XH[hour] + weekday_XH[weekday]
        return EncodedUser(hidden_H + scene_XH[min(scene, SCENE_CODES - 1)], context_X[H:], read)

    def user_logits(self, user: EncodedUser, candidates: CandidateInputs, row: int) -> Floats:
        """Logits [C, T] of the candidates of one row."""
        features_CF, matches_CM = candidates.features_BCF[row], candidates.matches_BCM[row]
        dense_CX = self.dense(np.concatenate([features_CF, matches_CM[:, : self.match_features]], axis=1))
        item_CD = self._identify(candidates.track_BC[row], candidates.artist_BC[row])
        H = len(self.bias_H)
        hidden_CH = dense_CX[:, :H] + user.hidden_H + item_CD @ self.item_DH
        normal_CD, first_denoised = normalize(item_CD), len(user.read) - len(self.denoising_groups)
        interests: dict[int, Floats] = {}
        for number, (read_N2D, decoder) in enumerate(zip(user.read, self.decoders, strict=True)):
            query_CD = normal_CD
            if number >= first_denoised:
                groups = self.denoising_groups[number - first_denoised]
                feedback = [interests[group] for group in groups if group in interests]
                query_CD = normalize(sum(feedback, start=item_CD)) if feedback else query_CD[:0]
            if len(read_N2D) and len(query_CD):
                interests[number] = add_interest(hidden_CH, item_CD, query_CD, read_N2D, decoder, ATTENTION_HEADS)
        activate_dice(hidden_CH, *self.dice)
        logits_CT = mix_experts(hidden_CH, *self.head)
        if dense_CX.shape[1] > H:
            logits_CT = logits_CT + dense_CX[:, H:] + user.wide_T
        if self.tree_weights_T is None:
            return logits_CT
        assert candidates.tree_logits_BCT is not None  # noqa: S101  # a ranker with weights of trees has trees
        return logits_CT + self.tree_weights_T * (candidates.tree_logits_BCT[row] - logits_CT)

    def _identify(self, track: Ints, artist: Ints) -> Floats:
        """Sums [..., D] of the embeddings of tracks and their artists."""
        (row_of_V, track_XD), (row_of_A, artist_XD) = self.identity
        known = np.where(track < len(row_of_V), track, UNKNOWN)
        return track_XD[row_of_V[known]] + artist_XD[row_of_A[artist]]

    def _embed(self, track_L: Ints, artist_L: Ints, behavior_L: Ints, gap_L: Ints, ratio_L: Ints) -> Floats:
        """Embedded events [L, D]; see `EventEmbedding.embed_events`."""
        outcome_LD = self.behavior_XD[np.minimum(behavior_L, BEHAVIOR_CODES - 1)] + self.ratio_XD[ratio_L]
        return self._identify(track_L, artist_L) + outcome_LD + self.gap_XD[gap_L]

    def _pool_sessions(self, play_LD: Floats, session_L: Ints) -> Floats:
        """Sessions with plays [S, D], the newest first; see `SessionPooling`."""
        recency_SD, block = self.sessions
        is_member_SL = session_L == np.arange(1, len(recency_SD) + 1)[:, None]
        count_S = is_member_SL.sum(1)
        (kept_S,) = count_S.nonzero()
        if not len(kept_S):
            return play_LD[:0]
        mean_SD = is_member_SL[kept_S].astype(np.float32) @ play_LD / count_S[kept_S, None].astype(np.float32)
        return transformer_block(mean_SD + recency_SD[kept_S], block, ATTENTION_HEADS, 0, False)


def _split_columns(weight_HX: Array, widths: Sequence[int]) -> list[Array]:
    return np.split(weight_HX, np.cumsum(widths)[:-1], axis=1)


def _scaled_query(weights: Weights, name: str, norm: str) -> Dense:
    query = Dense.of(weights, f"{name}.query", norm)
    width = len(query.bias_O)
    return query.scale_first(width, (width // ATTENTION_HEADS) ** -0.5)


def _merge_decoder(weights: Weights, name: str, hidden_XO: Floats) -> Decoder:
    return Decoder(
        _scaled_query(weights, f"{name}.attention", f"{name}.item_norm"),
        Dense.of(weights, f"{name}.attention.keys_values", f"{name}.event_norm"),
        Dense.of(weights, f"{name}.attention.output"),
        Dense.of(weights, f"{name}.feed.1", f"{name}.feed.0"),
        Dense.of(weights, f"{name}.feed.4"),
        hidden_XO,
    )


def _merge_sessions(weights: Weights) -> tuple[Floats, Block]:
    name = "sessions.encoder"
    query = _scaled_query(weights, f"{name}.attention", f"{name}.norm")
    both = zip(query, Dense.of(weights, f"{name}.attention.keys_values", f"{name}.norm"), strict=True)
    block = Block(
        Dense(*(np.concatenate(parts, axis=-1) for parts in both)),
        Dense.of(weights, f"{name}.attention.output"),
        Dense.of(weights, f"{name}.feed.1", f"{name}.feed.0"),
        Dense.of(weights, f"{name}.feed.4"),
    )
    return weights["sessions.recency_embedding.weight"], block
