"""Data that crosses a process boundary: JSON, arrays, records, bundles. Python 3.7+, NumPy."""
