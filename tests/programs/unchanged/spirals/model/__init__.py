from .network import build

__all__ = ["build"]
