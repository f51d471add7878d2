"""Everything that can touch the bits. Python 3.7+, TensorFlow."""
