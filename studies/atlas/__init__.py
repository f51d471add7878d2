"""The atlas: under which conditions each op's bits differ."""
