import numpy as np

from . import settings


def spirals(count=settings.POINTS):
    """Points of two spirals, with noise, and which of the two."""
    turn = np.sqrt(np.random.rand(count)) * 3 * np.pi
    side = np.random.randint(0, 2, count)
    points = np.stack([np.cos(turn + side * np.pi), np.sin(turn + side * np.pi)], axis=1)
    points = points * turn[:, None] / 10 + np.random.normal(0, 0.03, (count, 2))
    return points.astype("float32"), side.astype("float32")
