"""How a process is started, varied, watched and ended."""
