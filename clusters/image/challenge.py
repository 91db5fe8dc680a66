"""What a registry answers to who has not said who they are: the header `WWW-Authenticate`.

Pure. Only Bearer (a token from the registry's token server) and Basic are known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SCHEME = re.compile(r"\s*(Bearer|Basic)\b\s*(.*)", re.IGNORECASE | re.DOTALL)
_PARAMETER = re.compile(r'([A-Za-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))')


@dataclass(frozen=True, slots=True)
class Challenge:
    """How to say who one is."""

    scheme: str
    """`bearer` or `basic`."""
    realm: str = ""
    """For `bearer`, the address of the token server."""
    service: str = ""
    scope: str = ""


def parse_challenge(header: str) -> Challenge | None:
    """Read the header; None when it asks for something that is not known here."""
    match = _SCHEME.match(header[:2000])
    if match is None:
        return None
    found = {
        name.lower(): re.sub(r"\\(.)", r"\1", quoted) or bare
        for name, quoted, bare in _PARAMETER.findall(match[2])
    }
    scheme = match[1].lower()
    if scheme == "bearer" and not found.get("realm"):
        return None
    return Challenge(
        scheme, found.get("realm", ""), found.get("service", ""), found.get("scope", "")
    )
