"""Why containers do not start or do not stay up: from what the kubelet says of each."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from clusters.evidence import Found, Reason, counted, kubectl, one_line, role_of, statuses, verb
from clusters.model import Manifest

CRASHES = 3
"""Restarts after which a container that ends by itself is not expected to stay up."""

Status = Mapping[str, Any]

_PULL = frozenset((
    "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull",
    "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed",
))  # fmt: skip
_START = frozenset(("CreateContainerConfigError", "CreateContainerError", "RunContainerError"))

_PULL_PASSES = re.compile(
    r"too ?many ?requests|\b429\b|rate limit|timeout|no such host|connection re(?:fused|set)",
    re.IGNORECASE,
)
_NO_RIGHT = re.compile(
    r"unauthorized|authentication required|access denied|authorization failed|denied:|\b40[13]\b",
    re.IGNORECASE,
)
_NO_IMAGE = re.compile(
    r"not found|manifest unknown|does not exist|no match for platform|no matching manifest"
    r"|invalid reference|couldn't parse image|not present with pull policy|signature",
    re.IGNORECASE,
)
_WRAPPED = re.compile(
    r'^(?:Back-off pulling image "[^"]*": )?(?:ErrImagePull: )?(?:Failed to pull image "[^"]*": )?'
    r"(?:rpc error: code = \w+ desc = )?"
)
"""What stands before a registry's own words."""
_CANNOT_RUN = re.compile(
    r"executable file not found|no such file or directory|permission denied|exec format error"
)
PASSING = re.compile(r"not registered|failed to sync|timed out waiting for the condition")
"""What a kubelet says that has not read a Secret or ConfigMap yet."""
_MISSING = re.compile(r'(?P<kind>secret|configmap) "(?P<name>[^"]+)" not found')


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with a pod: `verb` (for one, for several) and `rest` follow its name."""

    verb: tuple[str, str]
    rest: str
    hint: str = ""
    hopeless: bool = False


CANNOT = ("cannot", "cannot")


def containers(found: Found) -> Iterator[Reason]:
    """Why containers do not run: the pods of one role with one cause together, the most first."""
    grouped: dict[tuple[str, Trouble], list[Manifest]] = defaultdict(list)
    for pod in found.present():
        told = (trouble(found, pod, status) for status in statuses(pod))
        if first := next(filter(None, told), None):
            grouped[role_of(pod), first].append(pod)
    for (_, wrong), pods in sorted(grouped.items(), key=lambda item: -len(item[1])):
        text = f"{counted(pods, found)} {verb(pods, *wrong.verb)} {wrong.rest}"
        yield Reason(text, wrong.hint, wrong.hopeless)


def trouble(found: Found, pod: Manifest, status: Status) -> Trouble | None:
    """What is wrong with a container; None when nothing is."""
    waiting = (status.get("state") or {}).get("waiting") or {}
    reason, message = waiting.get("reason", ""), waiting.get("message") or ""
    if reason in _PULL:
        return _pull(status.get("image", ""), reason, _registry(found, pod, reason, message))
    if reason in _START:
        return _start(pod, status["name"], reason, message)
    if reason == "CrashLoopBackOff" or status.get("restartCount", 0) >= CRASHES:
        return None if status.get("ready") else _crash(pod, status)
    return None


def _registry(found: Found, pod: Manifest, reason: str, message: str) -> str:
    """The registry's own words: while the kubelet backs off, only an event may have them."""
    told = [
        str(e.get("message") or "") for e in found.events_of(pod) if e.get("reason") == "Failed"
    ]
    pulls = [said for said in told if "pull image" in said]
    bare = reason == "ImagePullBackOff" and ": " not in message
    return pulls[-1] if bare and pulls else message


def _pull(image: str, reason: str, message: str) -> Trouble:
    rest = f"pull image {image}: {one_line(_WRAPPED.sub('', message) or reason)}"
    if _PULL_PASSES.search(message):
        return Trouble(CANNOT, rest, "the registry may answer later")
    if _NO_RIGHT.search(message):
        hint = "name a Secret that may pull it in target.pull_secrets, and see that it exists"
        return Trouble(CANNOT, rest, hint, hopeless=True)
    if _NO_IMAGE.search(message) or reason == "InvalidImageName":
        hint = "see that `image` names one that the registry has, for these nodes' processors"
        return Trouble(CANNOT, rest, hint, hopeless=True)
    return Trouble(CANNOT, rest)


def _start(pod: Manifest, container: str, reason: str, message: str) -> Trouble:
    never = reason == "CreateContainerConfigError" or _CANNOT_RUN.search(message) is not None
    hint = kubectl(pod, "describe pod {}")
    if missing := _MISSING.search(message):
        kind = {"secret": "Secret", "configmap": "ConfigMap"}[missing["kind"]]
        hint = f"make {kind} {missing['name']}; one of llmops' own comes back with a deploy"
    elif "runAsNonRoot" in message:
        hint = "the image must run as a user that is not root, as `llmops image build` makes it"
    return Trouble(
        CANNOT,
        f"start container {container}: {one_line(message or reason)}",
        hint,
        hopeless=never and not PASSING.search(message),
    )


def _crash(pod: Manifest, status: Status) -> Trouble:
    name, times = status["name"], status.get("restartCount", 0)
    last = (status.get("lastState") or {}).get("terminated")
    end = last or (status.get("state") or {}).get("terminated") or {}
    often = "restarted once" if times == 1 else f"restarted {times} times"
    never = times >= CRASHES
    if end.get("reason") == "OOMKilled":
        return Trouble(
            ("runs", "run"),
            f"out of memory in container {name} ({_limit(pod, name)}, {often})",
            "give a replica more memory, or less to do: `llmops plan` shows what it needs",
            hopeless=never,
        )
    said = one_line(end.get("message") or "")
    how = f"exit code {end.get('exitCode', 'unknown')}" + (f": {said}" if said else "")
    return Trouble(
        ("crashes", "crash"),
        f"in container {name} ({often}): {how}",
        kubectl(pod, f"logs {{}} -c {name} --previous"),
        hopeless=never,
    )


def _limit(pod: Manifest, container: str) -> str:
    spec = pod.get("spec") or {}
    both = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    limits: list[Mapping[str, Any]] = [
        (one.get("resources") or {}).get("limits") or {} for one in both if one["name"] == container
    ]
    memory = next((limit["memory"] for limit in limits if "memory" in limit), "")
    return f"limit {memory}" if memory else "no limit of its own"
