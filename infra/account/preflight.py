"""What would keep machines from being made: everything that is wrong, before anything is changed.

Each check looks at one thing and says how to put it right. One that cannot be made, because
something before it is wrong, is left out: that is told already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from infra.account.model import Caller, Quota, Thing
from infra.account.quotas import quota_of, used
from infra.account.reader import Account
from infra.tags import STACK_TAG
from llmops.errors import InputError, LlmopsError, UnreachableError

OLDEST = (3, 181, 0)
"""Of the `pulumi` program: the first that runs a program inline for refresh and destroy too."""
INSTALL = "install it: https://www.pulumi.com/docs/install/"


@dataclass(frozen=True, slots=True)
class Check:
    """What one look found. `fix` is a command or a sentence; empty only when all is well."""

    name: str
    verdict: Literal["ok", "warn", "fail"]
    found: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Machines that are to be made."""

    machine: str
    count: int
    market: str
    head: str
    image: str
    """Id of an image, or the name of a public parameter; empty where nothing says."""
    zone: str = ""
    """The one zone that all must be in; empty for any."""
    vpc: str = ""
    """Id of a VPC that is there; empty where one is made, with all that it needs."""
    subnets: tuple[str, ...] = ()
    """Of that VPC, for the machines."""
    services: tuple[str, ...] = ()
    """Services of AWS that the machines ask."""
    stack: str = ""
    """The stack that they are of: its machines that run already are among those wanted."""


def program_checks(
    environment: Mapping[str, str], version: Callable[[], str], backend: Callable[[], str]
) -> Iterator[Check]:
    """Of the `pulumi` program, its backend and its passphrase.

    Args:
        environment: Of the program.
        version: What the program says of itself.
        backend: Where it keeps stacks: its URL; raises where it cannot.
    """
    try:
        found = version()
    except LlmopsError as error:
        yield Check("pulumi", "fail", error.message, error.hint or INSTALL)
        return
    if _version(found) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        yield Check("pulumi", "fail", f"version {found}, older than {oldest}", INSTALL)
        return
    yield Check("pulumi", "ok", found)
    try:
        url = backend()
    except LlmopsError as error:
        yield Check(
            "backend",
            "fail",
            error.message,
            "pulumi login s3://BUCKET (or file://FOLDER), or set PULUMI_BACKEND_URL",
        )
        return
    yield Check("backend", "ok", url)
    if not url.startswith("https://"):
        yield _passphrase(environment)


def _passphrase(environment: Mapping[str, str]) -> Check:
    """Whether what seals a stack's secrets is there: an empty one seals nothing."""
    name, file = "PULUMI_CONFIG_PASSPHRASE", environment.get("PULUMI_CONFIG_PASSPHRASE_FILE")
    fix = f"set {name}, or {name}_FILE to the path of a file with it; keep it: without it the"
    fix += " stack's secrets are lost"
    if name not in environment and file is None:
        return Check("passphrase", "fail", "there is none", fix)
    try:
        text = environment.get(name) or (Path(file).read_text() if file else "")
    except OSError as error:
        return Check("passphrase", "fail", f"{file} cannot be read: {error.strerror}", fix)
    if not text.strip():
        return Check("passphrase", "fail", "it is empty, and seals nothing", fix)
    return Check("passphrase", "ok", "is there")


def _version(text: str) -> tuple[int, ...]:
    numbers = text.removeprefix("v").partition("-")[0].split(".")
    return tuple(int(one) if one.isdigit() else 0 for one in numbers)


def account_checks(account: Account, wanted: Wanted | None) -> Iterator[Check]:
    """Of the credentials, the region, and what is to be made there; without `wanted`, of the first
    two alone."""
    try:
        caller: Caller = account.who()
    except (InputError, UnreachableError) as error:
        yield Check(
            "credentials", "fail", error.message, error.hint or "aws sts get-caller-identity"
        )
        return
    yield Check("credentials", "ok", f"{caller.arn} of account {caller.account}")
    region = _looked("region", lambda: _region(account))
    yield region
    if region.verdict == "fail" or wanted is None:
        return
    yield _looked("machine", lambda: _offered("machine", account, wanted.machine, wanted.zone))
    yield _looked("head", lambda: _offered("head", account, wanted.head, wanted.zone))
    if not wanted.vpc:
        yield _looked("zones", lambda: _together(account, wanted))
    if wanted.image:
        yield _looked("image", lambda: _image(account, wanted.image))
    yield _looked("quota", lambda: _quota(account, wanted))
    yield _looked("quota of the head", lambda: _quota_of_head(account, wanted))
    if wanted.vpc:
        yield _looked("network", lambda: _ways(account, wanted))


def _looked(name: str, look: Callable[[], Check]) -> Check:
    try:
        return look()
    except LlmopsError as error:
        return Check(name, "warn", error.message, error.hint or "it was not checked")


def _region(account: Account) -> Check:
    if account.region_is_open():
        return Check("region", "ok", account.region)
    return Check(
        "region",
        "fail",
        f"{account.region} is not open to this account",
        "enable it under AWS Regions of the account, or choose another target.region",
    )


def _offered(name: str, account: Account, machine: str, zone: str) -> Check:
    zones = account.zones_of([machine])[machine]
    if zones and (not zone or zone in zones):
        return Check(name, "ok", f"{machine} in {', '.join(zones)}")
    field = {"machine": "target.machine", "head": "target.head_machine"}[name]
    where = zone if zone and zones else f"no zone of {account.region}"
    said = f"{where} does not offer" if where == zone else f"{where} offers"
    return Check(
        name, "fail", f"{said} {machine}", f"choose another {field}, target.zone or target.region"
    )


def _together(account: Account, wanted: Wanted) -> Check:
    """Whether head and machines can stand in one zone: a VPC of ours spans such zones alone."""
    found = account.zones_of([wanted.machine, wanted.head])
    machine, head = found[wanted.machine], found[wanted.head]
    both = [zone for zone in machine if zone in head]
    if both or not machine or not head:  # one that is nowhere has been told
        return Check("zones", "ok", ", ".join(both) or "see above")
    return Check(
        "zones",
        "fail",
        f"no zone of {account.region} offers both {wanted.machine} ({', '.join(machine)}) and"
        f" {wanted.head} ({', '.join(head)})",
        "choose another target.head_machine",
    )


def _ways(account: Account, wanted: Wanted) -> Check:
    """Whether machines in a VPC that is there reach what they ask. None is made there: whether a
    network has an endpoint is its owner's matter."""
    out, inside = account.leads_out(wanted.vpc, wanted.subnets), account.endpoints(wanted.vpc)
    missing = [service for service in wanted.services if not out and service not in inside]
    if not missing:
        how = "by a route out" if out else "by endpoints in it"
        return Check("network", "ok", f"{wanted.vpc} leads to {', '.join(wanted.services)} {how}")
    # There are ways that cannot be seen from here, such as a transit gateway: so it only warns.
    return Check(
        "network",
        "warn",
        f"{wanted.vpc} shows no way to {', '.join(missing)}: not every one of its subnets"
        f" ({', '.join(wanted.subnets)}) has a route out, and it has no such endpoint",
        "add them, with private DNS: machines without come up, and never answer",
    )


def _image(account: Account, image: str) -> Check:
    found = account.image(image) if image.startswith("/") else image
    if found and account.image_is_there(found):
        return Check("image", "ok", found)
    said = f"{image} stands for no image" if not found else f"{found} is not there"
    return Check(
        "image",
        "fail",
        f"{said} in {account.region}",
        "name one of the region in target.image, or leave it out",
    )


def _quota(account: Account, wanted: Wanted) -> Check:
    """Whether the quota of the machines holds them, and the head where it counts that as well."""
    quotas = account.quotas()
    quota = quota_of(wanted.machine, wanted.market, quotas)
    if quota is None:
        return Check("quota", "ok", f"none counts {wanted.machine} ({wanted.market})")
    needed = account.vcpus_of(wanted.machine) * wanted.count
    if quota_of(wanted.head, "on_demand", quotas) == quota:
        needed += account.vcpus_of(wanted.head)
    return _held("quota", account, wanted, quota, needed, "target.machine")


def _quota_of_head(account: Account, wanted: Wanted) -> Check:
    """Whether the quota of the head holds it, where that is another than the machines'."""
    name, quotas = "quota of the head", account.quotas()
    quota = quota_of(wanted.head, "on_demand", quotas)
    if quota is None:
        return Check(name, "ok", f"none counts {wanted.head}")
    if quota == quota_of(wanted.machine, wanted.market, quotas):
        return Check(name, "ok", "that of the machines, and counted there")
    needed = account.vcpus_of(wanted.head)
    return _held(name, account, wanted, quota, needed, "target.head_machine")


def _held(
    name: str, account: Account, wanted: Wanted, quota: Quota, needed: int, field: str
) -> Check:
    others = [one for one in account.machines() if not _is_of(one, wanted.stack)]
    running = used(quota, others, account.quotas())
    sum_ = f"{quota.name}: {quota.limit:g} vCPUs, {running} run for others, {needed} are needed"
    if running + needed <= quota.limit:
        return Check(name, "ok", sum_)
    # Others may end before ours are made: the cloud decides, and says so.
    verdict: Literal["warn", "fail"] = "warn" if needed <= quota.limit else "fail"
    return Check(name, verdict, sum_, f"ask for more in Service Quotas, or choose another {field}")


def _is_of(machine: Thing, stack: str) -> bool:
    return bool(stack) and machine.tags.get(STACK_TAG) == stack


def refuse(checks: tuple[Check, ...]) -> None:
    """Refuse what cannot work, with everything that is wrong at once.

    Raises:
        InputError: When a check failed.
    """
    wrong = [check for check in checks if check.verdict == "fail"]
    if wrong:
        lines = [f"{one.name}: {one.found} (fix: {one.fix})" for one in wrong]
        raise InputError(
            "machines cannot be made as it is; nothing was changed\n  " + "\n  ".join(lines),
            hint="put these right, and deploy again; llmops doctor looks at them too",
        )


__all__ = ["Check", "Wanted", "account_checks", "program_checks", "refuse"]
