"""The session model of many behaviours: each behaviour is a domain that the candidate asks, and plays form sessions.

A transformer a domain with the candidate as its query: Gu et al. 2020, "Deep Multifaceted Transformers for
Multi-objective Ranking in Large-Scale E-commerce Recommender Systems" (DMT), CIKM. Negative behaviours as domains: Xie et
al. 2020, "Deep Feedback Network for Recommendation" (DFN), IJCAI. Sessions: Feng et al. 2019, "Deep Session Interest
Network for Click-Through Rate Prediction", 1905.06482. Differs: a domain's events do not see each other unless
`self_attention` says so; explicit behaviours of one polarity share a domain; sessions are means of plays that one block
relates to each other; the numbers of `target_attention` stand beside the interests and are lifted to the logits, and passes over
them alone come before the one pass that teaches the ids; boosted trees over these numbers and those of all further
searches have a share of the first task's logit.

Shape letters: B requests, C candidates, N events of a domain, S sessions, D width.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from training.ranking.domains import Domain, domains, members
from training.ranking.events import Catalogue
from training.ranking.inputs import UserInputs
from training.ranking.ranker import Ranker, RankerConfig, UserState
from training.ranking.recipes import ranker_config
from training.ranking.searches import SEARCHES
from training.ranking.session_layers import CandidateDecoder, Encoder, Sessions


@dataclass(frozen=True)
class SessionDomainsConfig(RankerConfig):
    """`domain_length`: newest events of a domain; `sessions`: newest sessions among the plays that are read (0: none);
    `self_attention`: events of a domain see each other before the candidate sees them.
    """

    domain_length: int = 50
    sessions: int = 10
    heads: int = 2
    self_attention: bool = False


@dataclass(frozen=True)
class Readable:
    """A sequence as its decoder reads it."""

    read: Tensor
    mask_BN: Tensor


@dataclass(frozen=True)
class SessionState(UserState):
    """What each domain, and at the end the sessions, have to say to any candidate."""

    sequences: tuple[Readable, ...]


class SessionDomains(Ranker):
    """As many interests as there are domains, and one more of the sessions."""

    name: ClassVar[str] = "session_domains"
    feature_service: ClassVar[str] = "session_domains"
    numbers: ClassVar[type[RankerConfig]] = SessionDomainsConfig

    def __init__(self, config: SessionDomainsConfig, catalogue: Catalogue, tasks: tuple[str, ...]) -> None:
        self.domains: tuple[Domain, ...] = tuple(
            domain for domain in domains(config.domain_length) if config.negatives or not domain.is_negative
        )
        has_sessions = config.sessions > 0
        super().__init__(config, catalogue, tasks, interests=len(self.domains) + has_sessions)
        width, heads, dropout = config.width, config.heads, config.dropout
        self.decoders = nn.ModuleList(
            CandidateDecoder(width, heads, dropout) for _ in range(len(self.domains) + has_sessions)
        )
        encoders = len(self.domains) if config.self_attention else 0
        self.encoders = nn.ModuleList(Encoder(width, heads, dropout) for _ in range(encoders))
        self.sessions = Sessions(width, config.sessions, heads, dropout) if has_sessions else None

    @staticmethod
    def config(recipe: str) -> SessionDomainsConfig:
        """The budget of every rung of the ladder; what only this one has is set here."""
        reads = {"hard_search": True, "searches": tuple(SEARCHES), "trees": 200, "plays": 200}
        own = {"lift": True, "experts": 3, "position_bias": True, "number_epochs": 2 if recipe == "full" else 4}
        return SessionDomainsConfig(**(asdict(ranker_config(recipe)) | reads | own))

    def encode_user(self, users: UserInputs) -> SessionState:
        """Everything that depends on the request alone.

        Raises:
            ValueError: the inputs were made for a ranker that reads no sessions.
        """
        if users.plays is None or users.acts is None:
            raise ValueError("session_domains needs plays and acts; make its inputs with RankingFeatures(plays=…)")
        played_BLD, said_BLD = self.embedding.of_sequence(users.plays), self.embedding.of_sequence(users.acts)
        sequences = []
        for number, domain in enumerate(self.domains):
            events, event_BLD = (users.plays, played_BLD) if domain.is_played else (users.acts, said_BLD)
            index_BN, mask_BN = members(events, domain)
            event_BND = event_BLD.gather(1, index_BN[..., None].expand(-1, -1, event_BLD.shape[-1]))
            if len(self.encoders):
                event_BND = self.encoders[number](event_BND, mask_BN)
            sequences.append(self._readable(number, event_BND, mask_BN))
        if self.sessions is not None:
            session_BSD, mask_BS = self.sessions(played_BLD, users.plays.session_BL)
            sequences.append(self._readable(len(self.domains), session_BSD, mask_BS))
        return SessionState(**vars(super().encode_user(users)), sequences=tuple(sequences))

    def _readable(self, number: int, event_BND: Tensor, mask_BN: Tensor) -> Readable:
        return Readable(cast(CandidateDecoder, self.decoders[number]).read(event_BND), mask_BN)

    def interest(self, state: UserState, item_BCD: Tensor) -> Tensor:
        """What every domain and the sessions say about each candidate, side by side."""
        assert isinstance(state, SessionState)  # noqa: S101  # what encode_user made
        told = [
            decoder(item_BCD, one.read, one.mask_BN)
            for decoder, one in zip(self.decoders, state.sequences, strict=True)
        ]
        return torch.cat(told, dim=-1)
