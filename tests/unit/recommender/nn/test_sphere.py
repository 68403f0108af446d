"""Interpolation on the sphere."""

import numpy as np
import pytest

from recommender.nn.vector_index import angles, interpolate_on_sphere


def test_points_are_evenly_spaced_between_the_ends():
    first, last = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.6, 0.8])
    point_PD = interpolate_on_sphere(first, last, 7)
    np.testing.assert_allclose(point_PD[[0, -1]], [first, last], atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(point_PD, axis=1), 1)
    np.testing.assert_allclose(np.diagonal(angles(point_PD, point_PD), 1), np.pi / 12)


@pytest.mark.parametrize("last", [[1.0, 0.0], [-1.0, 0.0]])
def test_equal_and_opposite_ends_give_unit_vectors(last):
    point_PD = interpolate_on_sphere(np.array([1.0, 0.0]), np.array(last), 5)
    assert np.isfinite(point_PD).all()
    np.testing.assert_allclose(np.linalg.norm(point_PD, axis=1), 1)
