"""Engines: what they are told, how they are driven, and why they fail."""
