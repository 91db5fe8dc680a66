"""When credentials end, read from themselves: an API server only says 401.

Pure. Nothing is verified here, and no part of a token but its end is looked at.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
from datetime import UTC, datetime

_TIMES = re.compile(
    rb"(?:\x17\x0d\d{12}Z|\x18\x0f\d{14}Z)(?:\x17\x0d(?P<short>\d{12})Z|\x18\x0f(?P<long>\d{14})Z)"
)
"""Validity of RFC 5280 in DER: two times in a row, notBefore and notAfter."""


def certificate_end(pem: str) -> datetime | None:
    """notAfter of the first certificate of a PEM file; None when it holds none."""
    found = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", pem, re.DOTALL)
    try:
        times = _TIMES.search(ssl.PEM_cert_to_DER_cert(found[0])) if found else None
    except ValueError:
        return None
    if times is None:
        return None
    if times["long"]:
        return _utc(times["long"].decode())
    short = times["short"].decode()
    return _utc(("19" if short >= "50" else "20") + short)


def token_end(token: str) -> datetime | None:
    """`exp` of a JSON web token; None when it is none, or never ends."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return datetime.fromtimestamp(claims["exp"], UTC)
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def ended(pem: str, token: str, now: datetime) -> str:
    """A sentence about the credential that has ended, or nothing."""
    ends = {"client certificate": certificate_end(pem), "token": token_end(token)}
    for what, end in ends.items():
        if end and end <= now:
            return f"the {what} expired on {end:%Y-%m-%d %H:%M} UTC"
    return ""


def _utc(digits: str) -> datetime:
    return datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
