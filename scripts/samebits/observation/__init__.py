"""What a process ran, read, and saw. Python 3.7+."""
