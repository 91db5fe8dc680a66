"""What lies at the root of a broken connection, and what it means for whoever runs llmops."""

from __future__ import annotations

import socket
import ssl

import pytest
import urllib3

from clusters.broken import unreachable

SERVER = "https://api.example.com:6443"


def untrusted(code: int, message: str = "") -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, message
    return error


def wrapped(root: BaseException) -> BaseException:
    """As urllib3 hands it on: inside an exception of its own."""
    return urllib3.exceptions.SSLError(root)


@pytest.mark.parametrize(
    ("error", "passing", "message"),
    [
        (wrapped(untrusted(10)), False, "cannot be trusted: its certificate has expired"),
        (wrapped(untrusted(19)), False, "is not signed by the kubeconfig's authority"),
        (wrapped(untrusted(20)), False, "is not signed by the kubeconfig's authority"),
        (wrapped(untrusted(62)), False, "its certificate is for another name"),
        (wrapped(untrusted(99, "odd")), False, "cannot be trusted: odd"),
        (
            wrapped(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")),
            False,
            "TLS",
        ),
        (socket.gaierror(-2, "unknown"), True, "the name api.example.com of the API server"),
        (ConnectionRefusedError(111, "refused"), True, "nothing listens at"),
        (TimeoutError(), True, "does not answer"),
        (
            urllib3.exceptions.ProtocolError("cut", ConnectionResetError(104, "reset")),
            True,
            "broke",
        ),
    ],
)
def test_the_root_of_a_broken_connection_is_told(
    error: BaseException, passing: bool, message: str
) -> None:
    found = unreachable(SERVER, error)
    assert message in found.message
    assert SERVER in found.message
    assert found.hint
    assert found.passing is passing
