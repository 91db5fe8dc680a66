"""A server for each test, stopped at its end."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from serving.client import Endpoint
from tests.client.server import KEY, SERVICE, Server


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield found
        finally:
            found.shutdown()
            thread.join()


@pytest.fixture
def endpoint(server: Server) -> Endpoint:
    return Endpoint(server.url, KEY, SERVICE)
