"""Tests of the client against a loopback server."""
