"""Keys, and the keys that a user trusts."""
