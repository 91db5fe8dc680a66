"""Measurements: both sides in one run, interleaved, with a noise floor. Never run as tests."""
