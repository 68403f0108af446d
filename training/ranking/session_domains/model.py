"""The session model of many behaviours: each behaviour is a domain that the candidate asks, and plays form sessions.

A transformer a domain with the candidate as its query: Gu et al. 2020, "Deep Multifaceted Transformers for
Multi-objective Ranking in Large-Scale E-commerce Recommender Systems" (DMT), CIKM. Negative behaviours as domains: Xie et
al. 2020, "Deep Feedback Network for Recommendation" (DFN), IJCAI. Sessions: Feng et al. 2019, "Deep Session Interest
Network for Click-Through Rate Prediction", 1905.06482. Differs: a domain's events do not see each other unless
`self_attention` says so; explicit behaviours of one polarity share a domain; what was shown and left alone is asked by
full plays and explicit feedback (DFN's cleaning) through the same block; sessions are means of plays that one block
relates to each other; the numbers of `target_attention` stand beside the interests and are lifted to the logits, and
passes over them alone come before the one pass that teaches the ids; boosted trees over these numbers and those of all
further searches have a share of the first task's logit.

Shape letters: B requests, C candidates, N events of a domain, S sessions, D width.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from training.ranking.event_embeddings import ItemFrequencies
from training.ranking.features.search_registry import SEARCHES
from training.ranking.inputs import UserInputs
from training.ranking.ranker import Ranker, RankerConfig, UserState
from training.ranking.recipes import ranker_config
from training.ranking.session_domains.behaviour_groups import (
    EXPLICIT_NEGATIVE,
    EXPLICIT_POSITIVE,
    FULL_PLAY,
    UNCLICKED_IMPRESSION,
    BehaviorGroup,
    list_behaviour_groups,
    select_group_events,
)
from training.ranking.session_domains.layers import CandidateDecoder, Encoder, SessionPooling

DENOISING_GROUPS = ((FULL_PLAY, EXPLICIT_POSITIVE), (EXPLICIT_NEGATIVE,))
"""Which domains, together, ask the noisy one."""


@dataclass(frozen=True)
class SessionDomainsConfig(RankerConfig):
    """`domain_length`: newest events of a domain; `sessions`: newest sessions among the plays that are read (0: none);
    `self_attention`: events of a domain see each other before the candidate sees them; `cleaning`: full plays and explicit
    feedback ask what was shown and left alone what of it is like them.
    """

    group_length: int = 50
    sessions: int = 10
    heads: int = 2
    self_attention: bool = False
    denoise_impressions: bool = False


@dataclass(frozen=True)
class EncodedSequence:
    """A sequence as its decoder reads it."""

    keys_values: Tensor
    mask_BN: Tensor


@dataclass(frozen=True)
class SessionState(UserState):
    """What each domain, and at the end the sessions, have to say to any candidate."""

    sequences: tuple[EncodedSequence, ...]


class SessionDomains(Ranker):
    """As many interests as there are domains, one more of the sessions, and one more of each feedback that cleans."""

    name: ClassVar[str] = "session_domains"
    feature_service: ClassVar[str] = "session_domains"
    config_class: ClassVar[type[RankerConfig]] = SessionDomainsConfig

    def __init__(self, config: SessionDomainsConfig, catalogue: ItemFrequencies, tasks: tuple[str, ...]) -> None:
        self.groups: tuple[BehaviorGroup, ...] = tuple(
            domain
            for domain in list_behaviour_groups(config.group_length)
            if (config.negative_feedback or not domain.is_negative)
            and (config.impressions or domain.sequence != "unclicked_impressions")
        )
        has_sessions = config.sessions > 0
        names = [domain.name for domain in self.groups]
        self.denoising_groups = tuple(
            tuple(names.index(name) for name in feedback)
            for feedback in DENOISING_GROUPS
            if config.denoise_impressions and UNCLICKED_IMPRESSION in names and set(feedback) <= set(names)
        )
        interests = len(self.groups) + has_sessions + len(self.denoising_groups)
        super().__init__(config, catalogue, tasks, interests=interests)
        width, heads, dropout = config.width, config.heads, config.dropout
        self.decoders = nn.ModuleList(CandidateDecoder(width, heads, dropout) for _ in range(interests))
        encoders = len(self.groups) if config.self_attention else 0
        self.encoders = nn.ModuleList(Encoder(width, heads, dropout) for _ in range(encoders))
        self.sessions = SessionPooling(width, config.sessions, heads, dropout) if has_sessions else None

    @staticmethod
    def config(recipe: str) -> SessionDomainsConfig:
        """The budget of every rung of the ladder; what only this one has is set here."""
        reads = {"hard_search": True, "searches": tuple(SEARCHES), "trees": 200, "plays": 200}
        reads |= {"impressions": 50, "denoise_impressions": True, "genres": True}
        own = {
            "wide_skip_connection": True,
            "experts": 3,
            "position_bias": True,
            "dense_epochs": 2 if recipe == "full" else 4,
        }
        return SessionDomainsConfig(**(asdict(ranker_config(recipe)) | reads | own))

    def encode_user(self, users: UserInputs) -> SessionState:
        """Everything that depends on the request alone.

        Raises:
            ValueError: the inputs were made for a ranker that reads no sessions, or no impressions.
        """
        inputs = {name: getattr(users, name) for name in ("plays", *(domain.sequence for domain in self.groups))}
        if missing := [name for name, events in inputs.items() if events is None]:
            raise ValueError(
                f"session_domains needs {', '.join(missing)}; make its inputs with RankingFeatures(plays=…, impressions=…)"
            )
        embedded = {name: self.embedding.embed_sequence(events) for name, events in inputs.items()}
        sequences, noisy = [], None
        for number, domain in enumerate(self.groups):
            events, event_BLD = inputs[domain.sequence], embedded[domain.sequence]
            index_BN, mask_BN = select_group_events(events, domain)
            event_BND = event_BLD.gather(1, index_BN[..., None].expand(-1, -1, event_BLD.shape[-1]))
            if len(self.encoders):
                event_BND = self.encoders[number](event_BND, mask_BN)
            sequences.append(self._encode_sequence(number, event_BND, mask_BN))
            noisy = (event_BND, mask_BN) if domain.name == UNCLICKED_IMPRESSION else noisy
        if self.sessions is not None:
            session_BSD, mask_BS = self.sessions(embedded["plays"], inputs["plays"].session_BL)
            sequences.append(self._encode_sequence(len(self.groups), session_BSD, mask_BS))
        if noisy is not None:
            sequences += [
                self._encode_sequence(len(sequences) + number, *noisy) for number in range(len(self.denoising_groups))
            ]
        return SessionState(**vars(super().encode_user(users)), sequences=tuple(sequences))

    def _encode_sequence(self, number: int, event_BND: Tensor, mask_BN: Tensor) -> EncodedSequence:
        return EncodedSequence(cast(CandidateDecoder, self.decoders[number]).project_keys_values(event_BND), mask_BN)

    def interest(self, state: UserState, item_BCD: Tensor) -> Tensor:
        """What every domain, the sessions and the cleaned domain say about each candidate, side by side."""
        assert isinstance(state, SessionState)  # noqa: S101  # what encode_user made
        first_cleaner = len(state.sequences) - len(self.denoising_groups)
        told: list[Tensor] = []
        for number, (decoder, one) in enumerate(zip(self.decoders, state.sequences, strict=True)):
            if number < first_cleaner:
                told.append(decoder(item_BCD, one.keys_values, one.mask_BN))
                continue
            feedback = self.denoising_groups[number - first_cleaner]
            has_said_B = torch.stack([state.sequences[domain].mask_BN.any(1) for domain in feedback]).any(0)
            asked_BCD = item_BCD + sum(told[domain] for domain in feedback)
            told.append(decoder(asked_BCD, one.keys_values, one.mask_BN) * has_said_B[:, None, None])
        return torch.cat(told, dim=-1)
