"""Operations on the kernel's settings: limits, huge pages, sysctl, modules. Facts in, commands out.

Pure. Each keeps its setting in one file of its own, beside those of the distribution, and brings
the running kernel in line with it.
"""

from __future__ import annotations

from collections.abc import Iterator

from bare_metal.hosts.facts import HostFacts
from bare_metal.hosts.operations.model import Change, Desired, Kept, Refusal, Said, known, write

LIMITS = "/etc/security/limits.d/90-llmops.conf"
SYSCTL = "/etc/sysctl.d/90-llmops.conf"
LOADED = "/etc/modules-load.d/llmops.conf"
OPTIONS = "/etc/modprobe.d/llmops.conf"
HUGE_PAGES = "vm.nr_hugepages"
HEAD = "# Written by llmops from the cluster file; changes here are overwritten.\n"


def limits(facts: HostFacts, want: Desired) -> Iterator[Said]:
    """Memory that programs may lock, for login sessions that begin from now on."""
    if want.system.memlock is None:
        return
    text = HEAD + "".join(
        f"{who} {kind} memlock {want.system.memlock}\n"
        for who in ("*", "root")
        for kind in ("soft", "hard")
    )
    if known(facts.ours, "files of llmops").get(LIMITS) == text:
        yield Kept(f"memory may be locked without limit: {LIMITS} says so")
    else:
        yield write(LIMITS, text, "let programs lock memory without limit, in sessions from now on")


def sysctl(facts: HostFacts, want: Desired) -> Iterator[Said]:
    """Kernel settings and huge pages."""
    wanted = {name: " ".join(value.split()) for name, value in want.system.sysctl.items()}
    if want.system.hugepages is not None:
        wanted[HUGE_PAGES] = str(want.system.hugepages)
    if not wanted:
        return
    live = known(facts.sysctl, "kernel settings")
    for name in sorted(set(wanted) - set(live)):
        yield Refusal(
            f"{name} is no setting of this kernel",
            "mend the name in system.sysctl, or load the module that brings it",
        )
        del wanted[name]
    if not wanted:
        return
    text = HEAD + "".join(f"{name} = {value}\n" for name, value in sorted(wanted.items()))
    written = known(facts.ours, "files of llmops").get(SYSCTL) == text
    differing = [f"{n} is {live[n]}" for n, v in sorted(wanted.items()) if live[n] != v]
    if not written:
        yield write(SYSCTL, text, f"write {_count(len(wanted))}")
    if differing:
        yield Change(f"set them now: {', '.join(differing)}", ("sysctl", "-q", "-p", SYSCTL))
    if written and not differing:
        yield Kept(f"as wanted: {_count(len(wanted))}")


def _count(settings: int) -> str:
    return f"{settings} kernel setting{'s' if settings != 1 else ''}"


def modules(facts: HostFacts, want: Desired) -> Iterator[Said]:
    """Kernel modules, loaded now and at each start, with their parameters."""
    if not want.system.modules:
        return
    ours = known(facts.ours, "files of llmops")
    there = {*known(facts.modules, "modules"), *known(facts.builtin, "modules of the kernel")}
    names = [module.name for module in want.system.modules]
    options = HEAD + "".join(
        f"options {module.name} {' '.join(f'{k}={v}' for k, v in sorted(module.options.items()))}\n"
        for module in want.system.modules
        if module.options
    )
    said: list[Said] = []
    if ours.get(OPTIONS, HEAD) != options:
        said.append(write(OPTIONS, options, "write parameters of kernel modules"))
    loaded = HEAD + "".join(f"{name}\n" for name in names)
    if ours.get(LOADED) != loaded:
        said.append(write(LOADED, loaded, f"load {', '.join(names)} at each start"))
    said += [
        Change(f"load the module {name}", ("modprobe", name)) for name in names if name not in there
    ]
    said += _reloads(facts, want, there)
    yield from said or [Kept(f"{', '.join(names)}: loaded, now and at each start")]


def _reloads(facts: HostFacts, want: Desired, there: set[str]) -> Iterator[Said]:
    """Modules whose parameters are others than those that were wanted."""
    live = known(facts.parameters, "parameters of modules")
    for module in want.system.modules:
        paths = {
            f"/sys/module/{module.name}/parameters/{name}": v for name, v in module.options.items()
        }
        for path in sorted(path for path in paths if module.name in there and path not in live):
            yield Refusal(
                f"{module.name} has no parameter {path.rsplit('/', 1)[1]} that can be read",
                f"modinfo -p {module.name} lists those that there are",
            )
        differing = [path for path, value in paths.items() if live.get(path, value) != value]
        if differing:
            said = ", ".join(f"{p.rsplit('/', 1)[1]} is {live[p]}" for p in sorted(differing))
            yield Change(f"unload {module.name}: {said}", ("modprobe", "-r", module.name))
            yield Change(f"load {module.name} again", ("modprobe", module.name))
