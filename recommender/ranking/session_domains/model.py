"""Session-domains ranker: one sequence per behavior that each candidate attends to, and plays pooled to sessions.

One transformer per behavior group with the candidate as its query: Gu et al. 2020, "Deep Multifaceted Transformers for
Multi-objective Ranking in Large-Scale E-commerce Recommender Systems" (DMT), CIKM. Negative behaviors as groups: Xie et
al. 2020, "Deep Feedback Network for Recommendation" (DFN), IJCAI. Sessions: Feng et al. 2019, "Deep Session Interest
Network for Click-Through Rate Prediction", 1905.06482. Differs:

- Events of a group do not attend to each other.
- Each implicit behavior (full play, skip, unclicked impression, ...) is a group, derived from the table of behaviors;
  explicit behaviors are rare, so all of one polarity share a group.
- Unclicked impressions are denoised by attention from full plays and explicit feedback (as in DFN) with the same block.
- Sessions are means of plays, which one block relates to each other.
- The dense features of `target_attention` are concatenated with the interests and have a linear path to the logits;
  passes over them alone come before the one pass that trains the ids.
- Boosted trees over these features and the features of all further searches are blended into the logits.

Shape letters: B requests, C candidates, L events, N events of a group, S sessions, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from recommender.ranking.event_embeddings import ItemFrequencies
from recommender.ranking.inputs import EventInputs, UserInputs
from recommender.ranking.ranker import Ranker, UserState
from recommender.ranking.ranker_config import RankerConfig
from recommender.ranking.session_domains.groups import (
    ATTENTION_HEADS,
    UNCLICKED_IMPRESSION,
    BehaviorGroup,
    SessionDomainsConfig,
    groups_of,
)
from recommender.ranking.session_domains.layers import CandidateDecoder, SessionPooling
from recommender.ranking.session_domains.program import SessionDomainsProgram


@dataclass(frozen=True)
class EncodedSequence:
    """Projected keys and values of a sequence, as its decoder reads them."""

    keys_values: Tensor
    mask_BN: Tensor


@dataclass(frozen=True)
class SessionState(UserState):
    """User state with the encoded sequences: one per group, then the sessions, then the impressions to denoise."""

    sequences: tuple[EncodedSequence, ...]


class SessionDomains(Ranker):
    """One interest per behavior group, one of the sessions, and one per denoising feedback."""

    name: ClassVar[str] = SessionDomainsProgram.name
    feature_service: ClassVar[str] = SessionDomainsProgram.feature_service
    config_class: ClassVar[type[RankerConfig]] = SessionDomainsConfig

    def __init__(self, config: SessionDomainsConfig, catalog: ItemFrequencies, tasks: tuple[str, ...]) -> None:
        self.groups, self.denoising_groups = groups_of(config)
        interests = len(self.groups) + 1 + len(self.denoising_groups)
        super().__init__(config, catalog, tasks, interests=interests)
        width, heads, dropout = config.network.width, ATTENTION_HEADS, config.network.dropout
        self.decoders = nn.ModuleList(CandidateDecoder(width, heads, dropout) for _ in range(interests))
        self.sessions = SessionPooling(width, config.groups.sessions, heads, dropout)

    def encode_user(self, users: UserInputs) -> SessionState:
        """Return what depends on the request alone."""
        inputs = {name: getattr(users, name) for name in ("plays", *(group.sequence for group in self.groups))}
        embedded = {name: self.embedding.embed_events(events) for name, events in inputs.items()}
        sequences, impressions = [], None
        for number, group in enumerate(self.groups):
            events, event_BLD = inputs[group.sequence], embedded[group.sequence]
            index_BN, mask_BN = select_group_events(events, group)
            event_BND = event_BLD.gather(1, index_BN[..., None].expand(-1, -1, event_BLD.shape[-1]))
            sequences.append(self._encode_sequence(number, event_BND, mask_BN))
            impressions = (event_BND, mask_BN) if group.name == UNCLICKED_IMPRESSION else impressions
        session_BSD, mask_BS = self.sessions(embedded["plays"], inputs["plays"].session_BL)
        sequences.append(self._encode_sequence(len(self.groups), session_BSD, mask_BS))
        if impressions is not None:
            sequences += [
                self._encode_sequence(len(sequences) + number, *impressions)
                for number in range(len(self.denoising_groups))
            ]
        return SessionState(**vars(super().encode_user(users)), sequences=tuple(sequences))

    def _encode_sequence(self, number: int, event_BND: Tensor, mask_BN: Tensor) -> EncodedSequence:
        return EncodedSequence(cast(CandidateDecoder, self.decoders[number]).project_keys_values(event_BND), mask_BN)

    def interest(self, state: UserState, item_BCD: Tensor) -> Tensor:
        """Return the interests of all groups, of the sessions and of the denoised impressions, concatenated."""
        assert isinstance(state, SessionState)  # noqa: S101  # narrows the type: encode_user makes no other state
        first_denoised = len(state.sequences) - len(self.denoising_groups)
        interests: list[Tensor] = []
        for number, (decoder, encoded) in enumerate(zip(self.decoders, state.sequences, strict=True)):
            if number < first_denoised:
                interests.append(decoder(item_BCD, encoded.keys_values, encoded.mask_BN))
                continue
            feedback = self.denoising_groups[number - first_denoised]
            has_feedback_B = torch.stack([state.sequences[group].mask_BN.any(1) for group in feedback]).any(0)
            query_BCD = item_BCD + sum(interests[group] for group in feedback)
            denoised_BCD = decoder(query_BCD, encoded.keys_values, encoded.mask_BN)
            interests.append(denoised_BCD * has_feedback_B[:, None, None])
        return torch.cat(interests, dim=-1)


def select_group_events(events: EventInputs, group: BehaviorGroup) -> tuple[Tensor, Tensor]:
    """Return the positions of a group's newest events, newest first [B, N], and which of them hold an event [B, N].

    N is the number of events of the fullest row, at most `group.length`, to avoid padding for absent events.
    """
    is_member_BL = torch.isin(events.behavior_BL, torch.tensor(group.codes, device=events.behavior_BL.device))
    N = min(group.length, int(is_member_BL.sum(1).max())) if is_member_BL.numel() else 0
    position_L = torch.arange(1, is_member_BL.shape[1] + 1, device=is_member_BL.device)
    newest_BN, index_BN = (is_member_BL * position_L).topk(N, dim=1)
    return index_BN, newest_BN > 0
