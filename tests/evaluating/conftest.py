"""A loopback server that plays an endpoint, for each test that asks one. It is a fake."""

from __future__ import annotations

from tests.client.conftest import endpoint, server

__all__ = ["endpoint", "server"]
