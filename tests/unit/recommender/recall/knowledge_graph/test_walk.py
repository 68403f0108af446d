"""Walks over a small graph, compared with an enumeration of all paths, and sums by node with a dense table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from recommender.catalog.vocabulary import Vocabulary
from recommender.recall.knowledge_graph.channel import KnowledgeGraphWalks
from recommender.recall.knowledge_graph.graph import HEARD_NEAR, KnowledgeGraph
from recommender.recall.knowledge_graph.path_explanations import PathExplainer
from recommender.recall.knowledge_graph.walk import WalkConfig, WalkGraph
from serving.messages import render_reason
from training.recipes import config_of

ARTIST_OF = {"t0": "a0", "t1": "a0", "t2": "a1", "t3": "a2", "t4": "a3", "t5": "a1"}
LISTENERS_V = np.arange(len(ARTIST_OF) + 2, dtype=np.float32)
TRIPLES = [
    *((f"track:{track}", "performed_by", f"artist:{artist}") for track, artist in ARTIST_OF.items()),
    ("track:t5", "performed_by", "artist:a2"),
    ("artist:a0", "sang_ost_of", "work:Moon River"),
    ("artist:a1", "sang_ost_of", "work:Moon River"),
    ("artist:a1", "has_genre", "genre:folk"),
    ("artist:a2", "has_genre", "genre:folk"),
    ("track:t2", "on_album", "album:l1"),
    ("track:t3", "on_album", "album:l1"),
    ("track:t4", "has_style", "style:metal"),
]
WALK = replace(
    config_of(KnowledgeGraphWalks, "small").walk,
    relation_weights=(("performed_by", 1.0), ("has_genre", 0.5), ("sang_ost_of", 0.7)),
    default_relation_weight=0.2,
)


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    """A vocabulary where every track is cold."""
    rows = {
        "track_id": list(ARTIST_OF),
        "artist_id": list(ARTIST_OF.values()),
        "title": [f"Song {track}" for track in ARTIST_OF],
        "artist_names": [[f"Band {artist}"] for artist in ARTIST_OF.values()],
    }
    return Vocabulary.build(pl.DataFrame(rows), pl.DataFrame({"track_id": []}, schema={"track_id": pl.String}))


def table_of(*triples: tuple[str, str, str]) -> pl.DataFrame:
    return pl.DataFrame(triples, schema=["head", "relation", "tail"], orient="row")


def node(graph: KnowledgeGraph, text: str) -> int:
    """The node of a typed text."""
    kind, _, name = text.partition(":")
    codes = {"track": graph.vocabulary.track_code, "artist": graph.vocabulary.artist_code}.get(kind)
    if codes is None:
        return graph.first_entity + graph.entities.index(text)
    return codes[name] + graph.first_artist * (kind == "artist")


@pytest.fixture(scope="module")
def graph(vocabulary: Vocabulary) -> KnowledgeGraph:
    """The triples above and one co-occurrence edge."""
    built = KnowledgeGraph.build(table_of(*TRIPLES), vocabulary)
    near = [node(built, "track:t3")], [node(built, "track:t4")], [3.0]
    return built.with_edges(HEARD_NEAR, *(np.array(one) for one in near))


def every_edge(graph: KnowledgeGraph, config: WalkConfig) -> list[tuple[int, int, str, float]]:
    """Source, target, relation and weight of each directed edge, by definition."""
    ends = [(h, t) for h, t in zip(graph.head_T.tolist(), graph.tail_T.tolist(), strict=True)]
    degree = {node: sum(node in pair for pair in ends) for node in range(len(graph))}

    def worth(node: int) -> float:
        if node < graph.first_artist:
            return float(LISTENERS_V[node] + 0.5) ** config.popularity
        if node < graph.first_entity:
            tracks = np.flatnonzero(graph.vocabulary.artist_of_track_V == node - graph.first_artist)
            return float(LISTENERS_V[tracks].sum() + 0.5) ** config.popularity
        return degree[node] ** -config.damping

    edges, weights = [], dict(config.relation_weights)
    for (head, tail), number, strength in zip(ends, graph.relation_T.tolist(), graph.strength_T.tolist(), strict=True):
        relation = graph.relations[number]
        edges.append((head, tail, relation, strength if relation == HEARD_NEAR else worth(tail)))
        if relation != HEARD_NEAR:
            edges.append((tail, head, relation + "^-1", worth(head)))
    total = {
        (source, relation): sum(edge[3] for edge in edges if (edge[0], edge[2]) == (source, relation))
        for source, _, relation, _ in edges
    }
    return [
        (
            source,
            target,
            relation,
            weights.get(relation.removesuffix("^-1"), config.default_relation_weight)
            * weight
            / total[source, relation] ** config.damping,
        )
        for source, target, relation, weight in edges
    ]


def every_path(edges, starts: dict[int, float], hops: int):
    """Nodes and activation of each walk of at most `hops` edges from a start node."""
    reached = []
    for start, activation in starts.items():
        alive = [((start,), activation)]
        for hop in range(hops):
            alive = [
                ((*nodes, target), carried * weight)
                for nodes, carried in alive
                for source, target, relation, weight in edges
                if source == nodes[-1] and not (hop == 0 and relation == "performed_by")
            ]
            reached += alive
    return reached


@pytest.mark.parametrize("hops", [1, 2, 3])
@pytest.mark.parametrize("damping", [0.5, 1.0])
def test_spread_activation_is_the_sum_over_all_paths(graph, hops: int, damping: float) -> None:
    config = replace(WALK, hops=hops, damping=damping)
    starts = {node(graph, "track:t0"): 0.7, node(graph, "track:t2"): 0.3, node(graph, "artist:a0"): 0.6}
    items, arrived = WalkGraph.build(graph, LISTENERS_V, config).spread_activation(
        np.array(list(starts)), np.array(list(starts.values()))
    )
    expected = np.zeros(graph.first_artist)
    for nodes, carried in every_path(every_edge(graph, config), starts, hops):
        if nodes[-1] < graph.first_artist:
            expected[nodes[-1]] += carried
    assert items.tolist() == np.flatnonzero(expected).tolist() != []
    np.testing.assert_allclose(arrived, expected[items], rtol=1e-6)


def test_shortest_path_has_fewest_hops_and_most_activation(graph) -> None:
    starts = {node(graph, "track:t0"): 0.7, node(graph, "artist:a0"): 0.6}
    walks = WalkGraph.build(graph, LISTENERS_V, WALK)
    paths = every_path(every_edge(graph, WALK), starts, 3)
    reached = 0
    for track in ARTIST_OF:
        item = node(graph, f"track:{track}")
        found = walks.shortest_path(np.array(list(starts)), np.array(list(starts.values())), item)
        leading = [(len(nodes), -carried, nodes) for nodes, carried in paths if nodes[-1] == item]
        if not leading:
            assert found == []
            continue
        reached += 1
        _, _, nodes = min(leading)
        assert (found[0].source, *(step.target for step in found)) == nodes
    assert 0 < reached < len(ARTIST_OF), "some are out of reach"


def test_explanations_of_artist_album_cooccurrence_and_unnamed_relations(graph) -> None:
    def explain(of: KnowledgeGraph, start: str, item: str) -> str:
        path = WalkGraph.build(of, LISTENERS_V, WALK).shortest_path(
            np.array([node(of, start)]), np.ones(1), node(of, item)
        )
        return render_reason(PathExplainer(of, {"album:l1": "Blue"}).explain(path), "en")

    assert explain(graph, "artist:a0", "track:t1") == "because you listen to Band a0"
    assert explain(graph, "track:t2", "track:t3") == (
        "because you listen to Song t2 by Band a1: Song t2 by Band a1 and Song t3 by Band a2 are both on Blue"
    )
    assert explain(graph, "track:t3", "track:t4").endswith("people play Song t4 by Band a3 next to Song t3 by Band a2")
    curated = KnowledgeGraph.build(table_of(("artist:a0", "toured_with", "artist:a3"), *TRIPLES), graph.vocabulary)
    assert explain(curated, "artist:a0", "track:t4") == "because you listen to Band a0: Band a0 toured with Band a3"


def test_node_without_a_type_raises(vocabulary: Vocabulary) -> None:
    with pytest.raises(ValueError, match="Radiohead"):
        KnowledgeGraph.build(table_of(("Radiohead", "has_genre", "genre:rock")), vocabulary)
