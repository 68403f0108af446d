"""What the rankers of a study are asked about: the cases of one part, and what came of them. Knows nothing about rankers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EvaluationScope:
    """Cases of `part`, and the heads that are held against them, those that the log can teach."""

    part: str = "validation"
    tasks: tuple[str, ...] = ("not_skipped",)


DEFAULT_SCOPE = EvaluationScope()
