"""Where this user's state lies, and which target a verb works on.

A service's state is in its target. What is kept here beside the state of this machine is only where
each service was deployed to from here, so that `llmops status NAME` needs no more than its name;
another machine says it with `--context` and `--namespace`, or with the service's spec.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from clusters import ClusterTarget
    from llmops.spec import Deployment
    from serving.agent import AgentTarget
    from serving.local import LocalTarget

    Reached: TypeAlias = LocalTarget | ClusterTarget
    Target: TypeAlias = Reached | AgentTarget

STORE = "LLMOPS_STORE"
"""Address of the store of an agent that verbs work with, where nothing else is said."""

PLUGIN = "LLMOPS_PLUGIN"
"""Set to `kubectl` by the plugin's entry point: then the kubeconfig's context is where to work."""


@dataclass(frozen=True, slots=True)
class Place:
    """A target: this machine, or a namespace of a cluster. None: as the kubeconfig says."""

    kind: str = "local"
    context: str | None = None
    namespace: str | None = None
    store: str | None = None
    """Of a machine that is reached through a store: the store's address."""
    region: str | None = None
    """Of machines in a cloud: where they are."""
    stack: str | None = None
    """Of machines in a cloud: what they are a part of."""
    cluster: str | None = None
    """Of hosts of a bare-metal cluster: the file that describes it."""


HERE = Place()


def home() -> Path:
    """`LLMOPS_HOME`, or the platform's folder for state."""
    named = os.environ.get("LLMOPS_HOME")
    return Path(named).expanduser().absolute() if named else usual_home()


def usual_home() -> Path:
    """The platform's folder for state."""
    from platformdirs import user_state_path

    return user_state_path("llmops")


def open_target(place: Place = HERE) -> Target:
    """The target at a place."""
    if place.kind == "kubernetes":
        with needs_kubernetes():
            from clusters import ClusterTarget

        return ClusterTarget(home(), place.context, place.namespace)
    if place.kind == "agent" and place.store is not None:
        from serving.agent import AgentTarget

        return AgentTarget(home(), place.store)
    if place.store is not None and place.cluster is not None:
        from bare_metal.target import BareMetalTarget

        return BareMetalTarget(home(), place.store, Path(place.cluster))
    if place.region is not None and place.stack is not None:
        from infra import AwsTarget

        return AwsTarget(home(), place.region, place.stack)
    from serving.local import LocalTarget

    return LocalTarget(home())


@contextlib.contextmanager
def needs_kubernetes() -> Iterator[None]:
    """Say what to install where a package of the target `kubernetes` is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        from llmops.errors import InputError

        raise InputError(
            f"Kubernetes needs the package {error.name}, which is not installed",
            hint="pip install 'llmops[kubernetes]'",
        ) from error


def place_of(deployment: Deployment) -> Place:
    """Where a spec says that its service runs."""
    from llmops.spec import AgentTarget, BareMetalTarget, CloudTarget

    target = deployment.target
    if target.kind == "kubernetes":
        return Place("kubernetes", target.context, target.namespace)
    if isinstance(target, BareMetalTarget):
        return Place(target.kind, store=target.store, cluster=target.cluster)
    if isinstance(target, AgentTarget):
        return Place("agent", store=target.store)
    if isinstance(target, CloudTarget):
        from infra import stack_name

        return Place(target.kind, region=target.region, stack=stack_name(deployment))
    return HERE


def target_of(deployment: Deployment) -> Target:
    """The target that a spec names."""
    return open_target(place_of(deployment))


def service_target(name: str, context: str | None, namespace: str | None) -> Target:
    """The target of a service: as said, else where it was deployed to from here."""
    return open_target(service_place(name, context, namespace))


def service_place(name: str, context: str | None, namespace: str | None) -> Place:
    """Where a service is."""
    return said_place(context, namespace) or remembered().get(name, HERE)


def said_place(context: str | None, namespace: str | None) -> Place | None:
    """The place that the command line or the environment says; None where they say none."""
    if context is None and namespace is None and (store := os.environ.get(STORE)):
        return Place("agent", store=store)
    if context is not None or namespace is not None or os.environ.get(PLUGIN):
        return Place("kubernetes", context, namespace)
    return None


def owning(target: Target, asked: bool) -> Target:
    """The target, which sets what others have set too where that is asked for.

    Raises:
        InputError: On this machine, where nobody else sets anything.
    """
    if not asked:
        return target
    from llmops.errors import InputError
    from serving.local import LocalTarget

    target = reached(target, "--take-ownership")
    if isinstance(target, LocalTarget):
        raise InputError("--take-ownership is for a service on Kubernetes")
    target.take_ownership = True
    return target


def reached(target: Target, what: str) -> Reached:
    """The target, for what looks into a runtime itself.

    Raises:
        InputError: When that is on a machine that only its agent reaches.
    """
    from llmops.errors import InputError
    from serving.agent import AgentTarget

    if isinstance(target, AgentTarget):
        raise InputError(
            f"{what} looks into the runtime itself, which a command does not reach through"
            f" {target.address}",
            hint="llmops status, history and logs do without",
        )
    return target


def purging(target: Target) -> None:
    """Have `destroy` take what holds data as well.

    Raises:
        InputError: Where nothing of that kind was made.
    """
    from llmops.errors import InputError

    if not hasattr(target, "purge"):
        raise InputError("--purge is for machines of a cloud, which have a bucket of their own")
    target.purge = True


def remember(name: str, place: Place) -> None:
    """Note where a service is deployed to, before anything is made there."""
    file = _file(name)
    if place == HERE:
        file.unlink(missing_ok=True)
        return
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    whole = file.with_suffix(".new")
    whole.write_text(json.dumps(asdict(place)))
    whole.replace(file)


def remembered() -> dict[str, Place]:
    """The services that were deployed to elsewhere than this machine, and where to."""
    found = {}
    for file in sorted((home() / "places").glob("*.json")):
        try:
            found[file.stem] = Place(**json.loads(file.read_text()))
        except (OSError, ValueError, TypeError):  # no more than a note: the service can be named
            continue
    return found


def _file(name: str) -> Path:
    return home() / "places" / f"{name}.json"


def policy_names(incomplete: str) -> list[str]:
    """Names of this machine's policies, for the shell's completion: without reading any of them."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        entries = json.loads((home() / "policies.json").read_text())["entries"]
        found = {str(entry["name"]) for entry in entries}
        return [name for name in sorted(found) if name.startswith(incomplete)]
    return []


def service_names(incomplete: str) -> list[str]:
    """Names of services for the shell's completion: read from the records' names alone."""
    folders = (home() / "releases", home() / "places")
    found = {path.stem for folder in folders for path in folder.glob("*.json")}
    return [name for name in sorted(found) if name.startswith(incomplete)]
