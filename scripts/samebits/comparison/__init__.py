"""Runs compared bit for bit."""
