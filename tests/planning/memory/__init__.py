"""Tests of the memory model's terms."""
