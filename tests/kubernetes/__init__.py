"""Tests on a real API server, scheduler and store, in a network that nothing leaves."""
