"""Sums by node, compared with a dense table."""

import numpy as np

from training.recall.knowledge_graph.segment_sum import SegmentSum


def test_sums_and_positions_do_not_depend_on_earlier_calls() -> None:
    random, sums = np.random.default_rng(0), SegmentSum(50)
    for count in (200, 3, 0, 5, 40, 1):
        node, value = random.integers(0, 50, count), random.integers(0, 3, count) / 7
        found, total = sums.sum_by_node(node, value)
        expected = np.bincount(node, value, 50)
        assert found.tolist() == np.flatnonzero(expected).tolist()
        assert total.tolist() == expected[found].tolist()
        query_nodes = random.integers(0, 50, 30)
        assert found[sums.positions_of(found, query_nodes)].tolist() == [
            one for one in query_nodes.tolist() if expected[one] > 0
        ]
