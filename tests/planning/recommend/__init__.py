"""Recommendations: cases as files, laws of the ranking, and the catalogue of open models."""
