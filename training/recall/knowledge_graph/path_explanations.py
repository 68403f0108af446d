"""A path of the music graph in words: "because you listen to A: A and B both sang for the soundtrack of X".

Knows nothing about how paths are found.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from training.recall.knowledge_graph.config import HEARD_NEAR, PERFORMED_BY, RESEMBLES
from training.recall.knowledge_graph.graph import KnowledgeGraph
from training.recall.knowledge_graph.walk import Step

TWO_STEP_TEMPLATES = {
    "sang_ost_of": "{x} and {y} both sang for the soundtrack of {z}",
    "has_genre": "{x} and {y} are both {z}",
    "has_style": "{x} and {y} are both {z}",
    "has_emotion": "{x} and {y} are both {z}",
    "has_language": "{x} and {y} are both in {z}",
    "has_scene": "{x} and {y} both go with {z}",
    "has_theme": "{x} and {y} are both of the theme {z}",
    "on_album": "{x} and {y} are both on {z}",
    "in_playlist": "{x} and {y} are both in the playlist {z}",
    PERFORMED_BY: "{x} and {y} are both by {z}",
}
"""Two steps over one relation, `x ▸ z ◂ y`. A relation that is not here is said by its name."""

ONE_STEP_TEMPLATES = {
    HEARD_NEAR: "people play {y} next to {x}",
    RESEMBLES: "the music graph places {y} near {x}",
    PERFORMED_BY: "{x} is by {y}",
}
"""One step, `x ▸ y`, read from head to tail."""

MART_BY_TITLED_ENTITY = {"album": "albums", "playlist": "playlists"}


class PathExplainer:
    """Says paths; `titles` gives the words of nodes whose name is only an id, by typed text."""

    def __init__(self, graph: KnowledgeGraph, titles: dict[str, str]) -> None:
        self.graph, self.titles = graph, titles

    @classmethod
    def of(cls, graph: KnowledgeGraph, marts: Path) -> PathExplainer:
        """With the titles of albums and playlists, where the marts have them."""
        titles: dict[str, str] = {}
        for kind, mart in MART_BY_TITLED_ENTITY.items():
            path = marts / f"{mart}.parquet"
            if path.exists():
                rows = pl.read_parquet(path, columns=[f"{kind}_id", "title"]).drop_nulls().sort(f"{kind}_id")
                titles |= {f"{kind}:{name}": title for name, title in rows.iter_rows()}
        return cls(graph, {text: titles[text] for text in graph.entities if text in titles})

    def explain(self, path: Sequence[Step]) -> str:
        """A path of at least one step, from what the user listens to to a track."""
        start = self.name(path[0].source)
        # The track itself is on the screen: that the last artist performs it needs no words.
        told = path[:-1] if self._is_performer_to_track(path[-1]) else path
        if not told:
            return f"because you listen to {start}"
        return f"because you listen to {start}: {', '.join(self._step_phrases(told))}"

    def name(self, node: int) -> str:
        """A node in words."""
        vocabulary = self.graph.vocabulary
        if node < self.graph.first_artist:
            return vocabulary.describe(node)
        if node < self.graph.first_entity:
            artist = node - self.graph.first_artist
            return str(vocabulary.artist_names_A[artist]) or f"artist {vocabulary.artist_ids_A[artist]}"
        text = self.graph.entities[node - self.graph.first_entity]
        return self.titles.get(text) or text.partition(":")[2]

    def _step_phrases(self, path: Sequence[Step]) -> list[str]:
        phrases, place = [], 0
        while place < len(path):
            step = path[place]
            following = path[place + 1] if place + 1 < len(path) else None
            if following and step.is_forward and not following.is_forward and following.relation == step.relation:
                phrases.append(self._two_step_phrase(step, following))
                place += 2
            else:
                phrases.append(self._one_step_phrase(step))
                place += 1
        return phrases

    def _two_step_phrase(self, step: Step, following: Step) -> str:
        words = TWO_STEP_TEMPLATES.get(step.relation, f"{{x}} and {{y}} both {_relation_text(step.relation)} {{z}}")
        return words.format(x=self.name(step.source), z=self.name(step.target), y=self.name(following.target))

    def _one_step_phrase(self, step: Step) -> str:
        head, tail = (step.source, step.target) if step.is_forward else (step.target, step.source)
        words = ONE_STEP_TEMPLATES.get(step.relation, f"{{x}} {_relation_text(step.relation)} {{y}}")
        return words.format(x=self.name(head), y=self.name(tail))

    def _is_performer_to_track(self, step: Step) -> bool:
        return step.relation == PERFORMED_BY and not step.is_forward


def _relation_text(relation: str) -> str:
    return relation.replace("_", " ")
