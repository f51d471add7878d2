"""A user's own program, run unchanged: hooks, and what it did. Python 3.7+, TensorFlow."""
