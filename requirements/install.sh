#!/bin/sh
# Makes .venv from the lock, on a machine that has python3 (3.11 to 3.13) and a package index.
#
# uv is taken from the PATH, or brought into .cache/uv at the version that uv.txt pins. Every
# package is checked against its hash in the lock; llmops itself is installed last, editable, by a
# build backend that is in the lock too. Nothing is written outside this directory and uv's cache.
set -eu
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}

fail() {
    printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 2
}

case "$(uname -s)" in
    Linux | Darwin) ;;
    *) fail "llmops serves on Linux (x86_64, aarch64), found $(uname -s)" "use a Linux machine, or WSL 2" ;;
esac

bring_uv() {
    command -v "$python" >/dev/null 2>&1 || fail "no $python on the PATH" "install Python 3.11 or newer"
    rm -rf .cache/uv
    mkdir -p .cache
    if "$python" -m venv .cache/uv >/dev/null 2>&1; then
        .cache/uv/bin/python -m pip install --quiet --require-hashes -r requirements/uv.txt
    elif "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m pip install --quiet --require-hashes --target .cache/uv -r requirements/uv.txt
    else
        fail "$python has neither venv nor pip, and uv is not installed" \
            "install your system's python3-venv package"
    fi
}

if uv --version >/dev/null 2>&1; then
    uv=uv
else
    uv=.cache/uv/bin/uv
    "$uv" --version >/dev/null 2>&1 || bring_uv
fi

export UV_PYTHON_DOWNLOADS=never
if ! .venv/bin/python -c '' >/dev/null 2>&1; then
    "$uv" venv --quiet --clear --python '>=3.11,<3.14' .venv ||
        fail "no Python 3.11, 3.12 or 3.13 was found" "install one of them"
fi
"$uv" pip sync --quiet --require-hashes --python .venv/bin/python requirements/local.txt
"$uv" pip install --quiet --no-deps --no-build-isolation --python .venv/bin/python --editable .
