"""The claims of the article of 2022, each tested by a small program."""
