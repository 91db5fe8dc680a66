"""`llmops --help` is for people who wait: it imports no SDK, and nothing it does not need."""

from __future__ import annotations

import subprocess
import sys

import pytest

SLOW = {
    "fsspec", "httpx", "huggingface_hub", "numpy", "psutil", "pydantic", "ray", "rich", "starlette",
    "torch", "transformers", "uvicorn", "vllm", "yaml",
}  # fmt: skip
CODE = """
import sys
sys.argv = ["llmops", *sys.argv[1:]]
from cli.main import main
try:
    main()
except SystemExit as end:
    code = end.code or 0
else:
    code = 0
print("\\nmodules:", " ".join(sorted({name.split(".")[0] for name in sys.modules})))
sys.exit(code)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_imports_no_sdk(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, *arguments], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    imported = set(done.stdout.rsplit("modules:", 1)[1].split())
    assert "cli" in imported
    assert imported & SLOW == set()
