"""What a broken connection to an API server means, as errors that say what to do next.

Pure: from the exception that the connection pool raised, by what lies at its root.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from clusters.trouble import Unreachable

_VERIFY = {
    7: ("its certificate is not signed by the kubeconfig's authority", ""),
    10: ("its certificate has expired", "whoever runs the cluster must renew it; check the clock"),
    9: ("its certificate is not valid yet", "check this machine's clock"),
    18: ("it shows a certificate that nobody has signed", ""),
    19: ("its certificate is not signed by the kubeconfig's authority", ""),
    20: ("its certificate is not signed by the kubeconfig's authority", ""),
    62: ("its certificate is for another name", "`tls-server-name` in the kubeconfig can say it"),
    64: ("its certificate is for another address", "`tls-server-name` in the kubeconfig helps"),
}
"""OpenSSL's X509_V_ERR_ codes, by number."""

_NEWER = "get a new kubeconfig of this cluster: its `certificate-authority-data` is for another one"


def unreachable(server: str, error: BaseException) -> Unreachable:
    """The error that stands for an exception of the connection pool."""
    for root in _roots(error):
        if isinstance(root, ssl.SSLCertVerificationError):
            return _untrusted(server, root)
        if isinstance(root, ssl.SSLError):
            return _not_tls(server, root)
        if isinstance(root, socket.gaierror):
            return _unnamed(server)
        if isinstance(root, ConnectionRefusedError):
            return _refused(server)
        if isinstance(root, TimeoutError):
            return _silent(server)
    return Unreachable(
        f"the connection to the API server {server} broke: {_short(error)}",
        hint="run it again: it goes on from what is there",
    )


def _roots(error: BaseException) -> Iterator[BaseException]:
    """The exception and all that it was made from, the deepest first."""
    for inner in (*error.args, getattr(error, "reason", None), error.__cause__, error.__context__):
        if isinstance(inner, BaseException):
            yield from _roots(inner)
    yield error


def _untrusted(server: str, error: ssl.SSLCertVerificationError) -> Unreachable:
    why, hint = _VERIFY.get(error.verify_code, (error.verify_message or "", ""))
    return Unreachable(
        f"the API server {server} cannot be trusted: {why}", hint=hint or _NEWER, passing=False
    )


def _not_tls(server: str, error: ssl.SSLError) -> Unreachable:
    reason = (getattr(error, "reason", None) or str(error)).replace("_", " ").lower()
    if "wrong version number" in reason or "record layer failure" in reason:
        reason, hint = "it does not speak TLS", "the kubeconfig's `server` may be meant as http://"
    else:
        hint = "the client certificate of the kubeconfig may have expired"
    return Unreachable(f"no TLS with the API server {server}: {reason}", hint=hint, passing=False)


def _unnamed(server: str) -> Unreachable:
    host = urlsplit(server).hostname or server
    return Unreachable(
        f"the name {host} of the API server {server} is not known",
        hint="check the kubeconfig's `server`, and whether a VPN is needed",
    )


def _refused(server: str) -> Unreachable:
    return Unreachable(
        f"nothing listens at the API server's address {server}",
        hint="check that the cluster runs, and the kubeconfig's `server`",
    )


def _silent(server: str) -> Unreachable:
    return Unreachable(
        f"the API server {server} does not answer",
        hint="check the kubeconfig's `server`, and whether a VPN or a proxy is needed",
    )


def _short(error: BaseException) -> str:
    root = next(_roots(error))
    return (str(root) or type(root).__name__)[:200]
