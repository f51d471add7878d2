"""Two spirals and a network that tells them apart."""

__version__ = "0.3.1"
