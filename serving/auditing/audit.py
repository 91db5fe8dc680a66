"""One audit: what is inside first, then the endpoint, with keys that end with it.

The order matters: what is looked at inside must be as it was before the audit made a key.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Sequence

from llmops.events import Flow
from serving.auditing.asking import Caller
from serving.auditing.check import Check, Report, chosen, perform
from serving.auditing.inside import counts_here, inside_checks, promises_here
from serving.auditing.keys import Maker, TemporaryKeys
from serving.auditing.meanings import UNCHECKED
from serving.auditing.outside import outside_checks
from serving.auditing.subject import Counts, Outside, Promises
from serving.auditing.wire import Address, require
from serving.client import Line
from serving.local import LocalTarget


def audit(
    maker: Maker,
    address: Address,
    promises: Promises,
    inside: Iterable[Check],
    *,
    only: Sequence[str] = (),
    few_keys: bool = False,
    counts: Counts | None = None,
) -> Flow[Report]:
    """Look at a live service. Keys are made only when a check needs one, and revoked at the end.

    Args:
        maker: Makes them.
        address: Where the endpoint is.
        promises: What its release says of it.
        inside: What else is looked at.
        only: Ids of checks; none is all.
        few_keys: Whether a key takes minutes until it opens.
        counts: The target's own record of what a key has used; None where it has none.

    Raises:
        InputError: When an id is none.
        UnreachableError: When nobody is at the address.
    """
    with TemporaryKeys(maker, promises.service) as keys:
        outside = Outside(Caller(address, keys.texts), keys, promises, few_keys, counts)
        looked = chosen(inside, only)
        tried = chosen(outside_checks(outside), only)
        if any(check.id != UNCHECKED for check in tried):
            require(address)  # or all of it would be told as not checked, one by one
        return (yield from perform([*looked, *tried]))


def audit_here(
    target: LocalTarget, service: str, *, url: str | None = None, only: Sequence[str] = ()
) -> Flow[Report]:
    """Audit a service of this machine.

    Args:
        target: This machine.
        service: The service.
        url: Where clients reach the endpoint, where that is not as this machine does.
        only: Ids of checks; none is all.

    Raises:
        InputError: When the service was never deployed here, or an id or the URL is none.
        TargetError: When its keys cannot be revoked.
    """
    promises = promises_here(target, service)
    endpoint = target.endpoint(service)
    line = endpoint.line
    if url is not None:
        # By another name, but trusted by the same authorities.
        line = Line(verify=line.verify if isinstance(line.verify, ssl.SSLContext) else True)
    address = Address.of(url or endpoint.url, line)
    inside = inside_checks(target, service)
    counts = counts_here(target, service)
    return (yield from audit(target, address, promises, inside, only=only, counts=counts))
