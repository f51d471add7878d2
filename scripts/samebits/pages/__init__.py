"""HTML pages, charts, badge and terminal summary, made from certificates."""
