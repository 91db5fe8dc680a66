"""Tests of where models come from and how their integrity is kept."""
