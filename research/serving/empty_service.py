"""A BentoML service whose only call does nothing: the floor of every call over HTTP (`make bench ONLY=recommend_p50`)."""

from __future__ import annotations

import bentoml


@bentoml.service(workers=1)
class Empty:
    """Answers without doing anything."""

    @bentoml.api
    def nothing(self, content: str = "") -> str:
        """Return the content."""
        return content
