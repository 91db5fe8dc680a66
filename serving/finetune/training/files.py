"""Names of what a training keeps in its run's folder, for those who only look."""

from __future__ import annotations

STOP = "stop-requested"
"""A file of this name asks a training to keep a checkpoint and end."""

FINAL = "final"
"""The trained weights, sealed as a checkpoint is."""

RESULT = "result.json"
"""What came of it; written after `FINAL`."""
