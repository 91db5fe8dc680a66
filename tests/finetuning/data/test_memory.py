"""Memory does not grow with the data: four times the rows, hardly more at the peak."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = [pytest.mark.engines, pytest.mark.long]

ROWS = 1000
"""Of the smaller data set, each of 4,000 characters and as many tokens: 20 MB of scratch, so that
the scratch database's pages in memory (16 MiB) are all in use in it already."""

ALLOWED = 24 * 2**20
"""Bytes by which the peak may grow: what the allocator keeps, and does not give back."""

HELD = 3 * ROWS * 4000 * 5
"""Bytes of the tokens and masks of three times more rows, packed as tightly as can be."""

PROGRAM = textwrap.dedent(
    """
    import json, random, resource, sys
    from pathlib import Path
    from tests.finetuning.data.making import prepared, settings

    folder, base, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    drawn = random.Random(1)
    with (folder / "rows.jsonl").open("w") as file:
        for at in range(count):
            said = " ".join("%06x" % drawn.getrandbits(24) for _ in range(570))
            turns = [{"role": "user", "content": said[:2000]},
                     {"role": "assistant", "content": said[2000:]}]
            file.write(json.dumps({"messages": turns}) + "\\n")
    warm = folder / "warm.jsonl"
    warm.write_text((folder / "rows.jsonl").open().readline())
    prepared(settings(warm, filters={"max_tokens": 4096}), base, folder / "warm")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    made = prepared(settings(folder / "rows.jsonl", filters={"max_tokens": 4096}), base,
                    folder / "data")
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"rows": made.manifest["train"]["rows"], "grown": (after - before) * 1024}))
    """
)


def grown(folder: Path, base: Path, count: int) -> int:
    """Bytes by which the peak of a process grows that prepares so many rows."""
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), str(base), str(count)],
        capture_output=True,
        text=True,
        timeout=290,
        cwd=Path.cwd(),
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["rows"] == count
    return int(found["grown"])


def test_four_times_the_rows_take_hardly_more_memory(base: Path, tmp_path: Path) -> None:
    small, large = (grown(tmp_path / f"{n}", base, n * ROWS) for n in (1, 4))
    print(f"peak grows by {small / 2**20:.0f} MiB at 1x and by {large / 2**20:.0f} MiB at 4x")
    assert large - small < ALLOWED
    assert HELD > 2 * ALLOWED, "the bound would hold for a data set that is held in memory"
