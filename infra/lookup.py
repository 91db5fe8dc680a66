"""What a plan for AWS is made of: the model's facts, and what can be had in the region.

Where the account cannot be asked, the plan is made of the catalogue alone and says so: to look at
a plan needs no credentials.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from infra.account import Account
from llmops.catalog import load_catalogue
from llmops.errors import InputError, LlmopsError
from llmops.events import Flow, Progress, Warned
from llmops.planning import CloudFacts, Facts, MachineFacts, images_of
from llmops.spec import AwsTarget as Wanted
from llmops.spec import Deployment
from serving.models import Models
from serving.versions import tested

if TYPE_CHECKING:
    from llmops.catalog import Catalogue

NO_MACHINE = MachineFacts(0, 0, 0, 0, (), "", None)
"""The machines are not there yet."""
ENGINE = "vllm"


def facts(home: Path, account: Account, deployment: Deployment, *, offline: bool) -> Flow[Facts]:
    """Look up the model, and what can be had.

    Raises:
        InputError: When the target is another one.
    """
    target = deployment.target
    if not isinstance(target, Wanted):
        raise InputError(f"the target is {target.kind}, not aws", path="target.kind")
    source, revision = deployment.model.source, deployment.model.revision
    yield Progress("model", f"looking up {source}")
    model = Models(home / "models").describe(source, revision, offline=offline)
    own = home / "catalog.yaml"
    catalogue = load_catalogue([own] if own.exists() else [])
    cloud = CloudFacts(catalogue)
    if not offline:
        cloud = yield from _looked_up(account, target, catalogue)
    return Facts(model, NO_MACHINE, (), f"{ENGINE} {tested()[ENGINE][-1]}", None, cloud)


def _looked_up(account: Account, target: Wanted, catalogue: Catalogue) -> Flow[CloudFacts]:
    yield Progress("cloud", f"looking at what {target.region} offers")
    try:
        zones = account.zones_of(_machines(target, catalogue))
        found = {parameter: account.image(parameter) for parameter in images_of(target)}
        images = {parameter: image for parameter, image in found.items() if image}
    except LlmopsError as error:
        yield Warned(f"{error.message}: planned from the catalogue alone")
        return CloudFacts(catalogue)
    return CloudFacts(catalogue, zones, images)


def _machines(target: Wanted, catalogue: Catalogue) -> list[str]:
    """Types that the plan may take: asked for by name, or every one with a price in the region; and
    the head's, which must stand beside them."""
    if target.machine != "auto":
        return [target.machine, target.head_machine]
    priced = [
        offer.instance
        for offer in catalogue.offers
        if offer.provider == target.kind
        and any(price.region == target.region for price in offer.prices)
    ]
    return sorted({*priced, target.head_machine})


__all__ = ["facts"]
