"""Great-circle geometry of unit-length vectors. Legend: N vectors, P points, D width."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

MIN_SINE = 1e-6
"""Arcs with a smaller sine have no unique direction: their ends are equal or opposite."""


def interpolate_on_sphere(first_D: Floats, last_D: Floats, points: int) -> NDArray[np.float64]:
    """`points` unit-length vectors from `first_D` to `last_D` with equal angles between neighbors, both included, [P, D].

    Spherical linear interpolation (Shoemake, "Animating Rotation with Quaternion Curves", SIGGRAPH 1985). Ends that are
    equal or opposite are interpolated along the straight line between them.
    """
    first, last = first_D.astype(np.float64), last_D.astype(np.float64)
    share_P1 = np.linspace(0, 1, points)[:, None]
    angle = float(np.arccos(np.clip(first @ last, -1, 1)))
    if np.sin(angle) < MIN_SINE:
        point_PD = (1 - share_P1) * first + share_P1 * last
        length_P1 = np.linalg.norm(point_PD, axis=1, keepdims=True)
        return np.where(length_P1 > MIN_SINE, point_PD / np.maximum(length_P1, MIN_SINE), first)
    weights = np.sin((1 - share_P1) * angle), np.sin(share_P1 * angle)
    result: NDArray[np.float64] = (weights[0] * first + weights[1] * last) / np.sin(angle)
    return result


def angles(vector_ND: Floats, other_MD: Floats) -> NDArray[np.float64]:
    """Angles between unit-length vectors in radians, [N, M]."""
    cosine_NM = np.clip(vector_ND.astype(np.float64) @ other_MD.astype(np.float64).T, -1, 1)
    result: NDArray[np.float64] = np.arccos(cosine_NM)
    return result
