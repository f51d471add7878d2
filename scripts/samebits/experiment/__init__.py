"""What an experiment is: pins, protocol, the names of variations. Python 3.7+, standard library."""
