"""Quantised checkpoints: their bytes, and what of their configurations is refused."""
