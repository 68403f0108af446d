"""Explanations of paths in the music graph, as in "because you listen to A: A and B both sang for the soundtrack of X".

Independent of how paths are found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recommender.recall.knowledge_graph.graph import HEARD_NEAR, PERFORMED_BY, KnowledgeGraph
from recommender.recall.knowledge_graph.walk import Step
from recommender.recall.reason import Reason, ReasonParameter, track_phrase

OTHER = ""
SHARED_TARGET_CODES = {
    "sang_ost_of": "shared_soundtrack",
    "has_genre": "shared_facet",
    "has_style": "shared_facet",
    "has_emotion": "shared_facet",
    "has_language": "shared_language",
    "has_scene": "shared_listening_scene",
    "has_theme": "shared_theme",
    "on_album": "shared_album",
    "in_playlist": "shared_playlist",
    PERFORMED_BY: "shared_artist",
    OTHER: "shared_relation",
}
"""Relation of two steps `x ▸ z ◂ y` → message code, which names the relation if it is OTHER."""

STEP_CODES = {
    HEARD_NEAR: "played_next_to",
    PERFORMED_BY: "performed_by",
    OTHER: "related_by",
}
"""Relation of one step `x ▸ y`, read from head to tail → message code, which names the relation if it is OTHER."""

FACET_RELATIONS = ("has_genre", "has_style", "has_emotion", "has_language", "has_scene", "has_theme")
"""Relations whose targets are facet values, which have a name in each language."""


class PathExplainer:
    """Turns paths into reasons.

    Attributes:
        graph: The graph that paths refer to.
        titles: Typed entity text (`album:7`) → title, for entities whose name is only an id.
    """

    def __init__(self, graph: KnowledgeGraph, titles: dict[str, str]) -> None:
        self.graph, self.titles = graph, titles

    def explain(self, path: Sequence[Step]) -> Reason:
        """The reason for a path of at least one step, from a node that the user listens to to a track."""
        start = self.name(path[0].source)
        # The recommended track is on the screen, so its performer step needs no words.
        is_performer = path[-1].relation == PERFORMED_BY and not path[-1].is_forward
        steps = path[:-1] if is_performer else path
        if not steps:
            return Reason("listens_to", {"start": start})
        return Reason("listens_to_path", {"start": start, "steps": tuple(self._step_phrases(steps))})

    def name(self, node: int) -> str | Reason:
        """The display name of a node."""
        vocabulary = self.graph.vocabulary
        if node < self.graph.first_artist:
            return track_phrase(vocabulary, node)
        if node < self.graph.first_entity:
            artist = node - self.graph.first_artist
            name = str(vocabulary.artist_names_A[artist])
            return name or Reason("unnamed_artist", {"artist_id": str(vocabulary.artist_ids_A[artist])})
        text = self.graph.entities[node - self.graph.first_entity]
        return self.titles.get(text) or text.partition(":")[2]

    def _step_phrases(self, path: Sequence[Step]) -> list[Reason]:
        phrases, place = [], 0
        while place < len(path):
            step = path[place]
            following = path[place + 1] if place + 1 < len(path) else None
            if following and step.is_forward and not following.is_forward and following.relation == step.relation:
                phrases.append(self._shared_target_phrase(step, following))
                place += 2
            else:
                phrases.append(self._step_phrase(step))
                place += 1
        return phrases

    def _shared_target_phrase(self, step: Step, following: Step) -> Reason:
        shared = self.name(step.target)
        names: dict[str, ReasonParameter] = {"x": self.name(step.source), "y": self.name(following.target), "z": shared}
        if step.relation in FACET_RELATIONS and isinstance(shared, str):
            names["z"] = (shared,)
        return _phrase(SHARED_TARGET_CODES, step, names)

    def _step_phrase(self, step: Step) -> Reason:
        head, tail = (step.source, step.target) if step.is_forward else (step.target, step.source)
        return _phrase(STEP_CODES, step, {"x": self.name(head), "y": self.name(tail)})


def _phrase(codes: Mapping[str, str], step: Step, names: Mapping[str, ReasonParameter]) -> Reason:
    if step.relation in codes:
        return Reason(codes[step.relation], names)
    return Reason(codes[OTHER], {**names, "relation": step.relation.replace("_", " ")})
