"""What is promised, what shows it, and what was measured: the table at the top of the page."""

from __future__ import annotations

PROMISES = [
    ("An upgrade or a rollback loses no request, and no answer is of two releases",
     "`benchmarks.soak`, `tests/chaos/test_soak.py`",
     "10,000 requests over 15 upgrades and 3 rollbacks: none lost, cut or mixed"),
    ("A killed command leaves nothing that the next run does not finish",
     "`benchmarks.kills`, `tests/releases/test_convergence.py`",
     ("10,000 simulated deaths; on the real runtime 302 strikes that found two faults, and 180"
      " that found none since")),
    ("A dead or stopped process is noticed within 5 s",
     "`tests/chaos/test_struck.py`",
     "0.2 to 4 s over 15 strikes in one run"),
    ("A bad release never replaces a good one",
     "`tests/e2e/test_3_releases.py`, `test_4_canary.py`, `test_6_canary.py`",
     "a canary's false alarms at most 1 % over all looks, by its construction"),
    ("Of two writers one wins, and the other is told by whom within 2 s",
     "`tests/chaos/test_two_writers.py`, `test_races.py`",
     "250 drawn interleavings; 206 races of processes, each as it should be"),
    ("An overload is refused before its queue is too long, the lowest priority first",
     "`tests/gateway/test_overload.py`, `benchmarks.door`",
     "at twice what an engine takes 180 answers a second in time, of its 160; without it 73"),
    ("No input at the door is answered 5xx, kills or stops it",
     "`tests/chaos/test_door.py`, `test_door_long.py`",
     "21,000 inputs"),
    ("A request that kills engines alone does so twice and not three times",
     "`tests/e2e/test_8_quarantine.py`",
     "two engines ended, three requests beside it were answered"),
    ("What runs out is told, and what was there stays whole",
     "`tests/chaos/test_full_disk.py`, `test_descriptors.py`, `test_clock_jumps.py`",
     "each fault below"),
]  # fmt: skip
"""Promise, instrument, and what it has shown."""

KILLED = """\
On a quiet machine (2 cores, x86_64, 2026-12-01) 180 strikes in 81 chains have found nothing: 169
times a command was killed, 11 times the runtime under one; 66 chains had left something to finish,
which the next run did; each of 953 requests beside strikes of commands was answered. That run was
ended by its own instrument, which expected a file to stay that was just being written.

Two runs before it (2026-11-30, beside other work, at a load of 4 to 12) had struck 302 times in
125 chains: 284 times a command, 18 times the runtime under one. Each of 1,420 requests was
answered. Two chains did not end as they should, the last of each run, and what they found is
mended:

- After 92 strikes: a command was killed after Serve had a release and before the gateway had
  heard of it. The next run took the release for there, asked it for a generation, was told that
  there is no such release, and gave it up; the last good one served on. A release is there now
  once the gateway knows it (`serving/local/runtime.py`, `clusters/telling.py`).
- After 210: a destroy was killed while it ended the runtime, and left shared memory. The engine
  had been started shortly before, and what it held was most likely not yet written down, which
  happened each 30 s. It is written down now before anything is ended
  (`serving/runtime/launcher.py`, `host.py`).

55 strikes before them had found that each engine that ended left its segments of shared memory
behind, killed or not, and that a destroy which was begun anew left them too; both are mended
(`serving/engines/warm.py`, `serving/runtime/segments.py`). Most strikes of short runs meet a
command at its start, since that is most of its time."""
"""What runs of `benchmarks.kills` have shown."""


def table() -> str:
    """The rows of the table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in PROMISES)


__all__ = ["KILLED", "table"]
