"""The HTTP form of responses: models of `response_schemas`, with reasons as sentences in the language of the request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serving.messages import Language, render_reason
from serving.response_schemas import FoundTrack, Recommendation, SearchResults

if TYPE_CHECKING:
    from serving.pipeline.response import RecommendationResponse, ResponseItem
    from serving.pipeline.search import SearchAnswer


def render_recommendation(response: RecommendationResponse, language: Language, has_trace: bool) -> Recommendation:
    """The HTTP form of a response: reasons as sentences, and the trace if requested."""
    items = [
        _fields(item, language) | {"release": None if item.release == response.release else item.release}
        for item in response.items
    ]
    trace = response.trace if has_trace else None
    notes = {"degraded": response.trace.degraded, "unmet": response.trace.unmet}
    return Recommendation(**vars(response) | {"items": items, "trace": trace, **notes})


def render_search(answer: SearchAnswer, language: Language) -> SearchResults:
    """The HTTP form of search results, with reasons as sentences."""
    return SearchResults(
        items=[FoundTrack(**_fields(one, language)) for one in answer.results],
        understood=answer.understood,
        unmet={part: render_reason(reason, language) for part, reason in answer.unmet.items()},
        **answer.named,
    )


def _fields(item: ResponseItem, language: Language) -> dict[str, Any]:
    reason = render_reason(item.reason, language)
    return {**item.details, "score": item.score, "channels": item.channels, "reason": reason}
