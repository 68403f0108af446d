"""Smooth paths: guarantees, an exhaustive search on few candidates, and comparisons on a fitted model."""

from itertools import permutations

import numpy as np
import pytest

from recommender.nn.vector_index import angles, interpolate_on_sphere
from recommender.slate.smooth_path import (
    ARTIST_GAP,
    ARTIST_PENALTY,
    DEVIATION_WEIGHT,
    STEP_POWER,
    find_smooth_path,
)


def random_candidates(count, width=8, seed=0, artists=50):
    generator = np.random.default_rng(seed)
    vector_CD = generator.normal(size=(count, width))
    return vector_CD / np.linalg.norm(vector_CD, axis=1, keepdims=True), generator.integers(2, artists, count)


def cost(path, vector_CD, artist_C):
    deviation = angles(interpolate_on_sphere(vector_CD[path[0]], vector_CD[path[-1]], len(path)), vector_CD)
    repeats = sum(
        artist_C[one] >= 2 and artist_C[one] in artist_C[path[max(place - ARTIST_GAP, 0) : place]]
        for place, one in enumerate(path)
    )
    inner = sum(deviation[place, one] ** 2 for place, one in enumerate(path[:-1]) if place)
    return (
        (np.arccos(np.clip((vector_CD[path][1:] * vector_CD[path][:-1]).sum(1), -1, 1)) ** STEP_POWER).sum()
        + DEVIATION_WEIGHT * inner
        + ARTIST_PENALTY * repeats
    )


@pytest.mark.parametrize("seed", range(5))
def test_path_is_close_to_the_best_of_all_paths(seed):
    vector_CD, artist_C = random_candidates(8, width=4, seed=seed)
    every = [[0, *inner, 7] for inner in permutations(range(1, 7), 3)]
    costs = [cost(path, vector_CD, artist_C) for path in every]
    found = cost(find_smooth_path(vector_CD, artist_C, 5), vector_CD, artist_C)
    # Not always the minimum, see the module's docstring; far below the median in any case.
    assert min(costs) - 1e-9 <= found <= min(costs) + 0.1 * (np.median(costs) - min(costs))


@pytest.mark.parametrize(
    ("count", "length", "shortest"), [*((300, length, length) for length in (2, 3, 10, 50)), (2, 10, 2), (6, 10, 2)]
)
def test_path_has_both_ends_and_no_track_twice_and_its_length_if_there_are_enough(count, length, shortest):
    vector_CD, artist_C = random_candidates(count)
    path = find_smooth_path(vector_CD, artist_C, length)
    assert path[0] == 0 and path[-1] == count - 1
    assert shortest <= len(set(path)) == len(path) <= min(count, length)
