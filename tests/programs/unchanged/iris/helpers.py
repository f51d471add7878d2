import numpy as np


def one_hot(words, names):
    """Rows of zeros with a one: (number of words, number of names)."""
    return np.eye(len(names), dtype="float32")[[names.index(word) for word in words]]
