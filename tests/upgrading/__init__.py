"""Upgrades: what is compared, what is told, and what is done."""
