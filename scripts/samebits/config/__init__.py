"""How a user asks for an experiment: Hydra, overrides, sweeps."""
