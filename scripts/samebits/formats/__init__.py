"""What crosses a process boundary: canonical JSON, arrays, records, bundles. Python 3.7+, NumPy."""
