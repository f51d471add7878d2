"""Data sets, from whatever source, to pinned bytes."""
