"""Relations written as their formulas, in NumPy: loops and differences.

A state is `[L, D]`, tokens alone. Nothing here is shared with the package.
"""

import numpy as np


def unit(x: np.ndarray) -> np.ndarray:
    """Returns vectors of length 1; those of zeros stay."""
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def angles(x: np.ndarray, centre: int, near: list[int]) -> np.ndarray:
    """Returns cosines of the angles at a vector between those near it."""
    sides = unit(x[near] - x[centre])
    return sides @ sides.T


def distances(x: np.ndarray, normalise: bool = False) -> np.ndarray:
    """Returns squared distances, over their mean if wanted."""
    found = ((x[:, None] - x[None]) ** 2).sum(-1)
    return (
        found / (found.sum() / (len(x) * (len(x) - 1))) if normalise else found
    )


def shares(x: np.ndarray) -> np.ndarray:
    """Returns distributions over all others, 0 on the diagonal."""
    cosines = unit(x) @ unit(x).T
    found = np.exp(cosines) * (1 - np.eye(len(x)))
    return found / np.maximum(found.sum(-1, keepdims=True), 1e-300)


def divergence(student: np.ndarray, teacher: np.ndarray) -> float:
    """Returns the sum over rows of the divergence of distributions."""
    p, q = shares(teacher), shares(student)
    off = ~np.eye(len(p), dtype=bool)
    return float((p[off] * np.log(p[off] / q[off])).sum())


def angle_differences(
    student: np.ndarray, teacher: np.ndarray, near: list[list[int]]
) -> float:
    """Returns the sum of squared differences, with the vectors near each."""
    return sum(
        ((angles(student, i, js) - angles(teacher, i, js)) ** 2).sum()
        for i, js in enumerate(near)
    )
