"""Tests of evaluation: words and verdicts by value, protocols against a loopback server."""
