"""Resources that run out and what a crash leaves: what happens, what is said, what shows it.

The matrix of the page `docs/safety.md`. A row is a fault and what it meets.
"""

from __future__ import annotations

FULL = "`tests/chaos/test_full_disk.py`"
CLOCK = "`tests/chaos/test_clock_jumps.py`"
ORPHANS = "`tests/chaos/test_orphans.py`"
LOGS = "`tests/chaos/test_growing_logs.py`"
DOCTOR = "`tests/local/test_doctor.py`"

ROWS = (
    (("Disk full, no inode left, or read-only: releases' record, what should run, keys, policies,"
     " backups, an agent's store"),
     "what was there stays whole; the same command goes on once there is room",
     "`the disk is full: FILE`, `the disk is read-only: FILE`, with what to do; exit 1", FULL),
    ("The same: a gateway's audit log",
     ("it serves on and counts the lines that are lost; there is no gap in the chain, and the next"
     " line says how many it were; it starts without its log, and has it once there is room"),
     ("`audit lines are lost` in the log, metric `llmops_audit_lost`, `audit_lost` of its state,"
     " `llmops logs NAME --audit --verify`"), FULL),
    ("The same: what keys use",
     ("what the record does not cover is refused (503), all else served; a gateway that cannot have"
     " the record's lock does not start"), "`what keys use cannot be counted`",
     f"{FULL}, `tests/gateway/limiter/test_recording.py`"),
    ("The same: a model that is fetched", "refused before a byte, or taken back whole",
     "`the disk is full`, `the model needs … more of disk`", "`tests/models/test_disk.py`"),
    ("The same: data prepared, a training", "checkpoints that were kept stay; `resume` goes on",
     "`disk-full`, exit 5", "`tests/finetuning`"),
    ("A folder that this user may not write", "nothing is changed",
     "`this user may not use it: FILE`; exit 1", FULL),
    ("Little memory", ("a plan that does not fit is refused; a replica that the kernel ends is"
     " replaced by Serve; Ray's own monitor ends nobody"),
     ("the sum, exit 3; `this machine is out of memory`; `there is no memory left`; `llmops"
      " doctor` tells how many the kernel has ended, the release's log that it was the kernel"),
     ("`tests/planning`, `tests/engines/test_causes.py`, `tests/local/test_starving.py`; an engine"
      " that is starved for real in `tests/chaos/test_struck.py`")),
    ("No file descriptor at the door",
     ("streams go on; it does not spin (below half a processor), and takes connections again by"
     " itself"), ("connections wait or are closed; `this process has no file descriptor left` of a"
     " command"), "`tests/chaos/test_descriptors.py`, on asyncio and on uvloop"),
    ("A port that a stranger has", "the plan is refused, and names who has it and a free one",
     "`target.port` with both; `llmops doctor` too",
     f"`tests/local/test_machine.py`, {DOCTOR}"),
    ("Clock an hour ahead or back: who holds a lock or lease, the host, a run",
     "is known by its start since the boot, which no clock moves: never taken for dead", "-",
     CLOCK),
    ("The same: health, rates, load, durations of a gateway; which gateways live",
     "measured by a clock that nobody sets", "-", CLOCK),
    ("The same: limits of a key",
     ("a day or month that was begun is not begun again; nobody is locked out; a minute's limit may"
     " be filled once more"), "-", f"{CLOCK}, `tests/gateway/limiter/test_bucket.py`"),
    ("Logs that grow: the host's and the engines' of its machine",
     "turned over at 64 MiB under their writers, one older part kept", "-", LOGS),
    ("The same: audit, Ray's own", ("at most 5 of 32 MiB for known callers and for unknown ones;"
     " 3 of 16 MiB each"), "`llmops doctor` warns above 1 GiB in all", f"{LOGS}, {DOCTOR}"),
    ("Left of a crash: processes, sockets, half a model",
     "`llmops doctor` names them; the next `deploy` takes them away, or goes on with the model",
     "`its host is gone and left processes`, `… is left of a host that is gone`, `half-fetched`",
     DOCTOR),
    ("Left of a crash: segments in `/dev/shm`",
     ("the same, and a host that runs removes them within some 60 s: of those that a process of"
     " this runtime was seen to hold, and that nobody uses;"
     " never a stranger's"), "`left of a runtime`", ORPHANS),
)  # fmt: skip

LIMITS = """\
What this does not hold against:

- Dates stay dates: a key expires, a window opens, a drain and a canary's share end by the clock. An
  hour ahead brings these an hour early; a canary is then promoted on what was compared by then, and
  a release whose drain had not begun yet is not waited for.
- The target `aws` tells a dead holder of Pulumi's lock by times: with the clock set ahead since,
  one that lives can be taken for dead.
- Whether the further machines of an agent live is told by their clocks: one that is wrong by more
  than its record holds is not counted.
- How many lines were lost is forgotten when the gateway ends before there is room; its log tells
  that some were.
- On the further machines of an agent no log is turned over.
- Placement groups end with the Ray that holds them, and one of a replica that has ended is Serve's
  to remove; neither was tried here.
- A segment that nobody was seen to hold, at looks every 30 s and before each change, is not known
  for ours."""
"""What does not hold."""


def table() -> str:
    """The rows as a table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in ROWS)
