"""Stands for the process that goes on with a watch: it says what it was told, and waits."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    Path(sys.argv[1], f"minded-{sys.argv[2]}").write_text(str(os.getpid()))
    while not Path(sys.argv[1], "end").exists():
        time.sleep(0.02)
