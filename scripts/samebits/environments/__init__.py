"""From a lock to a virtual environment."""
