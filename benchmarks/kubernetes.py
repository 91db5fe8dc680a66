"""The target `kubernetes` beside kubectl, on a real API server: rendering, apply, and no change.

    python -m benchmarks.kubernetes [ROUNDS]

It needs the control plane's programs (`make engines`), and moves into a network namespace of its
own before anything else. Sides take turns, in another order each round; kubectl against itself is
the noise floor. For whole processes the processor's seconds are given too, which other load moves
less. kubectl is a compiled program: where it is quicker, that is printed.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from benchmarks import kubernetes_objects
from benchmarks.cluster import Ran, Served, control_plane, counted, ran, served
from benchmarks.sides import LLMOPS, home, save, spread
from clusters.apply import apply_all
from clusters.client import Client
from clusters.kubeconfig import find
from clusters.model import Manifest
from clusters.written import write_tree
from tests.engines.programs import find as find_program
from tests.kubernetes import namespace
from tests.kubernetes.control_plane import ControlPlane

RENDERED, APPLIED = 1000, 200
AIM = 1.25
"""Apply with an open client against kubectl's whole process."""

ROOT = Path(__file__).parents[1]
Sides = Mapping[str, Callable[[], Ran]]
Times = dict[str, list[Ran]]


def main() -> None:
    """Measure, print, and keep the raw figures."""
    if not namespace.is_own():
        namespace.enter()
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    kept: dict[str, Times] = {"rendering": rendering(rounds)}
    with control_plane() as plane:
        kept |= applying(plane, rounds)
        with served(plane) as service:
            kept["no change"] = no_change(plane, service, rounds)
            requests(plane, service)
            phases(plane, service, rounds)
    with home():
        save("kubernetes", {name: _raw(times) for name, times in kept.items()})


# The measurements


def rendering(rounds: int) -> Times:
    """From plans to files, beside PyYAML's own writing of the same documents, and kubectl's reading
    of the files."""
    with tempfile.TemporaryDirectory() as name:
        folder, plain = Path(name, "tree"), Path(name, "plain.yaml")
        found = list(kubernetes_objects.trees(RENDERED, "bench"))
        _write(found, folder)
        build = [str(find_program("kubectl")), "kustomize", str(folder)]

        def render() -> None:
            list(kubernetes_objects.trees(RENDERED, "bench"))

        def dump() -> None:
            plain.write_text(yaml.safe_dump_all([m for tree in found for m in tree]))

        sides: dict[str, Callable[[], Ran]] = {
            "PyYAML safe_dump_all": lambda: _here(dump),
            "objects": lambda: _here(render),
            "files": lambda: _here(lambda: _write(found, folder)),
            "kubectl kustomize": lambda: ran(build, os.environ, folder),
            "PyYAML again": lambda: _here(dump),
        }
        times = _turns(sides, rounds)
    _print(f"a tree of {RENDERED} objects in {len(found)} services", times)
    _ratio(times, "objects", "PyYAML safe_dump_all", "PyYAML again")
    _ratio(times, "files", "PyYAML safe_dump_all", "PyYAML again")
    return times


def applying(plane: ControlPlane, rounds: int) -> dict[str, Times]:
    """The same objects into fresh namespaces, and once more when nothing is left to do."""
    client = Client.of(find(None, {"KUBECONFIG": str(plane.kubeconfig())}))
    client.version()
    cold: Times = {}
    warm: Times = {}
    for number in range(rounds):
        places = {name: _place(plane) for name in _appliers(plane, client, {})}
        for times in (cold, warm):
            sides = _appliers(plane, client, places)
            _turn(sides, times, number)
    for name, times in (("cold (create)", cold), ("warm (no change)", warm)):
        _print(f"server-side apply of {APPLIED} objects, {name}", times)
        _ratio(times, "llmops, client open", "kubectl", "kubectl again", AIM)
        _ratio(times, "llmops, process", "kubectl", "kubectl again")
    return {"apply, cold": cold, "apply, warm": warm}


def no_change(plane: ControlPlane, service: Served, rounds: int) -> Times:
    """`llmops deploy` of what is there already, beside kubectl's apply of the same objects."""
    desk = service.desk
    deploy = [str(LLMOPS), "deploy", "-f", str(service.spec), "--yes"]
    told = {**desk.environment, "HOME": str(plane.root), "PYTHONPATH": str(ROOT)}
    imports = "import cli.app, clusters.client, clusters.target, llmops.workflow"
    sides: dict[str, Callable[[], Ran]] = {
        "kubectl": lambda: ran(_kustomized(service), told, desk.folder),
        "llmops deploy": lambda: ran(deploy, told, desk.folder),
        "imports of llmops": lambda: ran([sys.executable, "-c", imports], told, desk.folder),
        "import kubernetes": lambda: ran(
            [sys.executable, "-c", "import kubernetes"], told, desk.folder
        ),
        "kubectl again": lambda: ran(_kustomized(service), told, desk.folder),
    }
    times = _turns(sides, rounds)
    _print("a deploy that changes nothing, whole processes", times)
    _ratio(times, "llmops deploy", "kubectl", "kubectl again")
    return times


def requests(plane: ControlPlane, service: Served) -> None:
    """How often each asks the API server."""
    desk = service.desk
    with counted(plane, desk.namespace) as way:
        told = {**desk.environment, "HOME": str(plane.root), "KUBECONFIG": str(way.kubeconfig)}
        ran([str(LLMOPS), "deploy", "-f", str(service.spec), "--yes"], told, desk.folder)
        ours = len(way.requests())
        ran(_kustomized(service), told, desk.folder)
        print(f"requests: llmops deploy {ours}, kubectl {len(way.requests()) - ours}")


def phases(plane: ControlPlane, service: Served, rounds: int) -> None:
    """Where the seconds of the deploy go; watching costs some."""
    file = plane.root / "phases.json"
    told = {**service.desk.environment, "PYTHONPATH": str(ROOT)}
    deploy = ["deploy", "-f", str(service.spec), "--yes"]
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        command = [sys.executable, "-m", "benchmarks.phases", str(time.time()), str(file), *deploy]
        ran(command, told, service.desk.folder)
        for name, seconds in json.loads(file.read_text()).items():
            found.setdefault(name, []).append(seconds)
    print(f"what a deploy that changes nothing is made of, seconds ({_load()})")
    for name, values in sorted(found.items(), key=lambda item: -statistics.median(item[1])):
        print(f"  {name:45} {spread(values)}")


# What they are made of


def _write(found: list[tuple[Manifest, ...]], folder: Path) -> None:
    """Each service into a folder of its own, and a kustomization of all."""
    names = [f"{number}" for number in range(len(found))]
    for name, tree in zip(names, found, strict=True):
        for file in (folder / name).glob("*"):
            file.unlink()
        write_tree(tree, folder / name)
    (folder / "kustomization.yaml").write_text(yaml.safe_dump({"resources": names}))


def _place(plane: ControlPlane) -> Path:
    """A fresh namespace, and a file with the objects for it."""
    where = plane.namespace()
    trees = kubernetes_objects.trees(APPLIED, where)
    items = [manifest for tree in trees for manifest in tree]
    file = plane.root / f"{where}.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    return file


def _appliers(plane: ControlPlane, client: Client, places: Mapping[str, Path]) -> Sides:
    """Each side applies its own file; without files only the names are of use."""
    told = os.environ | {"HOME": str(plane.root), "KUBECONFIG": str(plane.kubeconfig())}
    program = [str(find_program("kubectl")), "apply", "--server-side", "--filename"]

    def kubectl(name: str) -> Callable[[], Ran]:
        return lambda: ran([*program, str(places[name])], told, ROOT)

    def opened() -> Ran:
        items = json.loads(places["llmops, client open"].read_text())["items"]
        return _here(lambda: apply_all(client, items))

    def process() -> Ran:
        ours = [sys.executable, "-m", "benchmarks.apply_file", str(places["llmops, process"])]
        return ran(ours, told, ROOT)

    return {
        "kubectl": kubectl("kubectl"),
        "llmops, client open": opened,
        "llmops, process": process,
        "kubectl again": kubectl("kubectl again"),
    }


def _kustomized(service: Served) -> list[str]:
    """kubectl as the same field manager: otherwise it would become an owner of every field."""
    apply = ["apply", "--server-side", "--field-manager=llmops", "--kustomize", str(service.tree)]
    return [str(find_program("kubectl")), *apply]


def _here(act: Callable[[], object]) -> Ran:
    """In this process."""
    used, began = time.process_time(), time.perf_counter()
    act()
    return Ran(time.perf_counter() - began, time.process_time() - used)


def _turns(sides: Sides, rounds: int) -> Times:
    times: Times = {}
    for number in range(rounds):
        _turn(sides, times, number)
    return times


def _turn(sides: Sides, times: Times, number: int) -> None:
    """One round; every second one backwards."""
    for name in list(sides)[:: -1 if number % 2 else 1]:
        times.setdefault(name, []).append(sides[name]())


def _load() -> str:
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def _print(title: str, times: Times) -> None:
    print(f"{title} ({_load()})")
    for name, found in times.items():
        wall, cpu = (spread([getattr(one, what) for one in found]) for what in ("seconds", "cpu"))
        print(f"  {name:22} {wall} s   processor {cpu} s", flush=True)


def _ratio(times: Times, ours: str, base: str, again: str, aim: float | None = None) -> None:
    def middle(name: str, what: str) -> float:
        middle: float = statistics.median(getattr(one, what) for one in times[name])
        return middle

    for what in ("seconds", "cpu"):
        ratio, floor = (middle(name, what) / middle(base, what) for name in (ours, again))
        told = f"aim: at most {aim}; " if aim and what == "seconds" else ""
        print(f"  {ours} ÷ {base}, {what}: {ratio:.2f} ({told}A/A {floor:.2f})")


def _raw(times: Times) -> dict[str, list[tuple[float, float]]]:
    return {name: [(one.seconds, one.cpu) for one in found] for name, found in times.items()}


if __name__ == "__main__":
    main()
