"""Data sets: from any source to pinned bytes."""
