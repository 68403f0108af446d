"""Feedback: how far a user's reactions raise or lower the tracks that share an artist, styles or a language with them.

The models predict what a user plays next, which is mostly what the user has always played; some skips or likes hardly
change their order. Feedback changes it at once: the score of a candidate is multiplied by exp(Σ weight · evidence).
The evidence of an artist or a facet value is a change of log-odds, of the user's reactions to its tracks against the
user's usual reactions,

    log(1 + liked / (PRIOR · p)) - log(1 + disliked / (PRIOR · (1 - p))),

p: the smoothed share of plays that the user does not skip. It is collected over the current session, where it fades with
each further reaction, and over days, where it fades with time. The models read already what a user plays, so plays of
earlier days only lower tracks. A like of a track that was not played before is a choice, which no model reads: it
raises tracks as much tomorrow as now. The weights are a decision of the product
(docs/adr/0069-let-reactions-raise-and-lower-tracks.md).

In a stream, an artist rests for the next RESTING_SONGS songs after one skip of its tracks in the session, and for the session
after two or a dislike. A like or a save brings it back.

Evaluation and serving call the same functions. Legend: E reactions of one user, C candidates, F EVIDENCE, G values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from content import FACETS
from recommender.array_types import Doubles, Ints
from recommender.catalog.arrays import concatenate_ranges
from recommender.catalog.catalog import Catalog
from recommender.user.user_batch import HISTORY_VIEW, KEPT_BEHAVIORS, RECENT_VIEW, UserBatch, has_behavior
from sequences import behaviors, sessions
from sequences.sequence_batch import FIRST_CODE, SequenceBatch
from sequences.sequence_views import DAY_US

NEGATIVES_VIEW = "recent_negatives"
STRENGTHS: Mapping[str, float] = {
    **{"full_play": 1.0, "play": 0.5, "skip": -1.0},
    **dict.fromkeys(KEPT_BEHAVIORS, 3.0),
    **dict.fromkeys(("dislike", "block"), -2.0),
}
"""Reaction → number of plays (above 0) or skips that it counts as."""
READ_FROM = {
    HISTORY_VIEW: ("full_play", "play", "skip"),
    RECENT_VIEW: KEPT_BEHAVIORS,
    NEGATIVES_VIEW: ("dislike", "block"),
}
"""View → reactions that are read from it."""
HALF_LIFE_REACTIONS = 4.0  # within the session: the last reactions count most, whatever was played before
HALF_LIFE_DAYS, EXPLICIT_HALF_LIFE_DAYS = 1.0, 7.0  # of plays and skips; of explicit feedback
GROUPS = {"artist": (), "style": ("styles", "languages")}
EVIDENCE = tuple(f"{period}_{group}" for period in ("session", "days", "chosen") for group in GROUPS)
PRIOR = 4.0  # reactions that the usual ones count as
USUAL_LISTENS, USUAL_PLAYS = 6.0, 8.0  # of a user without plays
VOTES_FOR_HALF = 10  # liked new tracks that move the share of new tracks half of the way to 1
MAX_RAISE, MAX_LOWERING = 1.5, 6.0  # of the logarithm of a score
RESTING_SONGS = 10  # songs that are listened to while an artist rests after one skip
SKIPS_FOR_SESSION = 2.0  # strength of skips and dislikes after which an artist rests for the session

Views = Mapping[str, SequenceBatch]


@dataclass(frozen=True)
class FeedbackWeights:
    """Weight of each evidence."""

    session_artist: float = 0.5
    session_style: float = 0.5
    days_artist: float = 0.25
    days_style: float = 0.25
    chosen_artist: float = 0.75
    chosen_style: float = 0.75

    def log_factors(self, evidence_CF: NDArray[np.floating]) -> Doubles:
        """Change of the logarithm of each score, [C]."""
        return np.clip(evidence_CF @ np.array([*vars(self).values()]), -MAX_LOWERING, MAX_RAISE)


NO_FEEDBACK = FeedbackWeights(*(0.0 for _ in EVIDENCE))


@dataclass(frozen=True)
class Reactions:
    """Reactions of one user before a request, by time."""

    item_E: Ints
    strength_E: Doubles
    age_days_E: Doubles
    is_explicit_E: NDArray[np.bool_]
    is_in_session_E: NDArray[np.bool_]

    @classmethod
    def of(cls, views: Views, request_at_B: Ints, row: int = 0) -> Reactions:
        """Of the user of one request; none without the views of READ_FROM."""
        parts = [np.zeros((3, 0), dtype=np.int64)]
        for name, own in READ_FROM.items():
            if name not in views:
                continue
            columns = np.array([views[name].columns[key][row] for key in ("ended_at", "track_id", "behavior")])
            parts.append(columns[:, has_behavior(views[name], own)[row] & (columns[1] >= FIRST_CODE)])
        ended_E, item_E, behavior_E = (found := np.concatenate(parts, axis=1))[:, found[0].argsort(kind="stable")]
        strength_B, is_explicit_B = _strengths()
        return cls(
            item_E,
            strength_B[behavior_E],
            np.maximum(int(request_at_B[row]) - ended_E, 0) / DAY_US,
            is_explicit_B[behavior_E],
            ended_E >= _session_begin(views, request_at_B, row),
        )

    @cached_property
    def usual_listens(self) -> float:
        """Smoothed share of plays that are not skipped, before the current session."""
        is_play_E = ~self.is_explicit_E & ~self.is_in_session_E
        listens = float((self.strength_E[is_play_E] > 0).sum())
        return (listens + USUAL_LISTENS) / (float(is_play_E.sum()) + USUAL_PLAYS)

    def evidence(self, items_C: Ints, catalog: Catalog) -> Doubles:
        """Evidence for each item, [C, F] in the order of EVIDENCE."""
        if not len(self.item_E):
            return np.zeros((len(items_C), len(EVIDENCE)))
        half_life_E = np.where(self.is_explicit_E, EXPLICIT_HALF_LIFE_DAYS, HALF_LIFE_DAYS)
        later_E, is_chosen_E = np.arange(len(self.item_E))[::-1], self._is_chosen_E
        days_E = self.strength_E * 0.5 ** (self.age_days_E / half_life_E)
        weight_PE = np.stack(
            [
                self.strength_E * 0.5 ** (later_E / HALF_LIFE_REACTIONS) * (self.is_in_session_E & ~is_chosen_E),
                days_E * ~self.is_explicit_E,
                days_E * (self.is_explicit_E & (self.strength_E < 0)),
                days_E * is_chosen_E,
            ]
        )
        columns: dict[str, Doubles] = {}
        for group, facets in GROUPS.items():
            values, own = (_values(items, catalog, facets) for items in (self.item_E, items_C))
            session_C, plays_C, rejected_C, chosen_C = self._mean_evidence(weight_PE, values, own, len(items_C))
            columns[f"session_{group}"], columns[f"chosen_{group}"] = session_C, chosen_C
            columns[f"days_{group}"] = np.minimum(plays_C, 0) + rejected_C
        return np.stack([columns[name] for name in EVIDENCE], axis=1)

    def _mean_evidence(
        self, weight_PE: Doubles, values: tuple[Ints, Ints], own: tuple[Ints, Ints], items: int
    ) -> Doubles:
        """Mean evidence of the values of each item by each of P weights, [P, C]; 0 without a value. `values` and `own` are
        `_values` of the reactions and of the items.
        """
        (value_N, of_N), (own_M, of_M) = values, own
        size, usual = int(max(value_N.max(initial=0), own_M.max(initial=0))) + 1, self.usual_listens
        count_C = np.maximum(np.bincount(of_M, minlength=items), 1)
        weight_PN = weight_PE[:, of_N]
        liked_PG = _sums(value_N, np.maximum(weight_PN, 0), size)
        disliked_PG = _sums(value_N, np.maximum(-weight_PN, 0), size)
        evidence_PG = np.log1p(liked_PG / (PRIOR * usual)) - np.log1p(disliked_PG / (PRIOR * (1 - usual)))
        return _sums(of_M, evidence_PG[:, own_M], items) / count_C

    def resting_artists(self, catalog: Catalog) -> Ints:
        """Main artists that rest because of the current session, the one skipped longest ago first."""
        is_listen_E = ~self.is_explicit_E & (self.strength_E > 0)
        later_E = is_listen_E.sum() - is_listen_E.cumsum()  # songs that were listened to after each reaction
        columns_EX = np.stack(
            [catalog.main_artist_V[self.item_E], self.strength_E, self.is_explicit_E, later_E], axis=1
        )
        rejected: dict[float, tuple[float, float]] = {}
        for artist, strength, is_explicit, later in columns_EX[self.is_in_session_E].tolist():
            if strength < 0:  # removed first, so that the artists are in the order of their last skips
                rejected[artist] = rejected.pop(artist, (0.0, 0))[0] - strength, later
            elif is_explicit:
                rejected.pop(artist, None)
        is_resting = {
            one: skips >= SKIPS_FOR_SESSION or later < RESTING_SONGS for one, (skips, later) in rejected.items()
        }
        return np.array([one for one, rests in is_resting.items() if rests and one >= FIRST_CODE], dtype=np.int64)

    def votes_for_new(self) -> float:
        """Number of tracks that were liked or saved before they were ever played, fading over days."""
        return float((0.5 ** (self.age_days_E[self._is_chosen_E] / EXPLICIT_HALF_LIFE_DAYS)).sum())

    @cached_property
    def _is_chosen_E(self) -> NDArray[np.bool_]:
        """Which reactions are the first one to a track, and like or save it."""
        is_first_E = np.zeros(len(self.item_E), dtype=bool)
        is_first_E[np.unique(self.item_E, return_index=True)[1]] = True
        return is_first_E & self.is_explicit_E & (self.strength_E > 0)


def reactions_of(users: UserBatch) -> Reactions:
    """Reactions of the one request in `users`, cached in it."""
    return users.get_or_compute(Reactions, lambda: Reactions.of(users.views, users.request_at_B))


@lru_cache(maxsize=1)
def _strengths() -> tuple[Doubles, NDArray[np.bool_]]:
    """Strength of each behavior code, and whether it is explicit."""
    table = behaviors.load_behaviors()
    strength_B, is_explicit_B = np.zeros(len(table.rows) + 2), np.zeros(len(table.rows) + 2, dtype=bool)
    for row in table.rows:
        code = table.encoder[row.behavior]
        strength_B[code], is_explicit_B[code] = STRENGTHS.get(row.behavior, 0.0), row.is_explicit
    return strength_B, is_explicit_B


def _session_begin(views: Views, request_at_B: Ints, row: int) -> int:
    """Start of the session that the request continues; a session gap before it if no play is in the session."""
    begin = int(request_at_B[row]) - behaviors.load_behaviors().session_gap_us
    history = views.get(HISTORY_VIEW)
    if history is None or not history.length_B[row]:
        return begin
    one = history.take(np.array([row]))
    is_current = sessions.is_in_current_session(one, one.length_B, request_at_B[row : row + 1])
    return min(int(one.columns["occurred_at"][is_current].min(initial=begin)), begin)


def _sums(group_N: Ints, value_PN: Doubles, groups: int) -> Doubles:
    """Sum of each row of values by group, [P, G]."""
    row_P1 = np.arange(len(value_PN))[:, None]
    sum_R: NDArray[Any] = np.bincount((group_N + groups * row_P1).ravel(), value_PN.ravel(), groups * len(value_PN))
    return sum_R.reshape(len(value_PN), groups)


def _values(items_C: Ints, catalog: Catalog, facets: tuple[str, ...]) -> tuple[Ints, Ints]:
    """Values of the items and the position of the item of each; without facets, the main artists that are known."""
    if not facets:
        artist_C = catalog.main_artist_V[items_C]
        known = np.flatnonzero(artist_C >= FIRST_CODE)
        return artist_C[known], known
    table = catalog.facets
    place_N, of_N = concatenate_ranges(table.offset_V1[items_C], table.offset_V1[items_C + 1])
    is_kept_N = np.array([name in facets for name in FACETS])[table.facet_N[place_N]]
    return table.value_N[place_N[is_kept_N]].astype(np.int64), of_N[is_kept_N]
