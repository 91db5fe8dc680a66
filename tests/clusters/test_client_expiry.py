"""When credentials end, read from themselves."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from clusters.expiry import certificate_end, ended, token_end
from tests.kubernetes.certificates import Authority

NOW = datetime.now(UTC)


def token(claims: object) -> str:
    parts = [{"alg": "none"}, claims, "x"]
    return ".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).decode() for p in parts)


def test_an_expired_certificate_tells_when_it_ended(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    old = authority.client("ann", valid=timedelta(days=-2)).certificate.read_text()
    new = authority.client("bob").certificate.read_text()
    end = certificate_end(old)
    assert end is not None
    assert abs(end - (datetime.now(UTC) - timedelta(days=2))) < timedelta(minutes=5)
    assert ended(old, "", NOW) == f"the client certificate expired on {end:%Y-%m-%d %H:%M} UTC"
    assert ended(new, "", NOW) == ""


def test_an_expired_token_tells_when_it_ended() -> None:
    assert token_end(token({"exp": 0})) == datetime(1970, 1, 1, tzinfo=UTC)
    assert ended("", token({"exp": 0}), NOW) == "the token expired on 1970-01-01 00:00 UTC"


def test_credentials_that_tell_nothing_are_not_guessed_about() -> None:
    for odd in ("", "abc", "a.b.c", token({}), token([1]), token({"exp": "soon"})):
        assert token_end(odd) is None
    for odd in ("", "-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----"):
        assert certificate_end(odd) is None
