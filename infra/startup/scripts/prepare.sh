#!/bin/sh
# Prepares a machine for its part, before the agent is started: each step finds out what is done
# already, so that it may be run again at any time, after any interruption.
set -eu
umask 077

ROOT=${LLMOPS_ROOT:-}
# shellcheck source=/dev/null
. "$ROOT/etc/llmops/environment"
# shellcheck source=aws.sh
. "$ROOT/usr/local/lib/llmops/aws.sh"

say() { echo "llmops-prepare: $*" >&2; }

make_user() {
    id "$LLMOPS_USER" >/dev/null 2>&1 ||
        useradd --system --home-dir "$LLMOPS_HOME" --shell /usr/sbin/nologin "$LLMOPS_USER"
    mkdir -p "$ROOT$LLMOPS_HOME" "$ROOT$LLMOPS_HOME/models"
}

# The local NVMe disks are the fastest place for weights; what is on them is lost with the machine.
use_nvme() {
    mountpoint -q "$ROOT$LLMOPS_HOME/models" && return 0
    for disk in "$ROOT"/dev/disk/by-id/nvme-Amazon_EC2_NVMe_Instance_Storage_*; do
        [ -e "$disk" ] || return 0
        case $disk in *_ns-*|*-part*) continue ;; esac
        blkid "$disk" >/dev/null 2>&1 || mkfs.ext4 -q -m 0 "$disk"
        mount -o noatime,nodev,nosuid "$disk" "$ROOT$LLMOPS_HOME/models"
        return 0
    done
}

own_home() {
    chown "$LLMOPS_USER" "$ROOT$LLMOPS_HOME" "$ROOT$LLMOPS_HOME/models"
    chmod 0700 "$ROOT$LLMOPS_HOME" "$ROOT$LLMOPS_HOME/models"
}

check_driver() {
    [ "$LLMOPS_GPUS" -gt 0 ] || return 0
    shown=$(nvidia-smi --query-gpu=name --format=csv,noheader | wc -l)
    if [ "$shown" -ne "$LLMOPS_GPUS" ]; then
        say "the driver shows $shown GPUs, and the machine should have $LLMOPS_GPUS"
        exit 1
    fi
}

# verified FILE SHA256
verified() { echo "$2  $1" | sha256sum -c --status; }

# obtain NAME SHA256: a file of the packages, of which only the right one is kept
obtain() {
    kept="$ROOT/opt/llmops/$1"
    if [ -e "$kept" ] && verified "$kept" "$2"; then return 0; fi
    fetch "$LLMOPS_PACKAGES/$1" "$kept.new"
    if ! verified "$kept.new" "$2"; then
        rm -f "$kept.new"
        say "$1 is not the file that was planned: its digest differs"
        exit 1
    fi
    mv "$kept.new" "$kept"
}

# The locked wheels of a folder in S3, for machines that reach no index.
mirror() {
    mkdir -p "$ROOT/opt/llmops/wheels"
    list "$LLMOPS_WHEELS" | while read -r key; do
        file="$ROOT/opt/llmops/wheels/${key##*/}"
        [ -n "${key##*/}" ] || continue
        [ -e "$file" ] && continue
        place=${LLMOPS_WHEELS#s3://}
        fetch "s3://${place%%/*}/$key" "$file.new" && mv "$file.new" "$file"
    done
}

pip() { "$ROOT$LLMOPS_VENV/bin/python" -m pip --disable-pip-version-check install --no-deps "$@"; }

install_llmops() {
    done_for="$ROOT$LLMOPS_VENV/installed"
    wanted="$LLMOPS_WHEEL_SHA256 $LLMOPS_LOCK_SHA256"
    if [ -e "$done_for" ] && [ "$(cat "$done_for")" = "$wanted" ]; then return 0; fi
    mkdir -p "$ROOT/opt/llmops"
    chmod 0755 "$ROOT/opt/llmops"
    obtain "$LLMOPS_WHEEL" "$LLMOPS_WHEEL_SHA256"
    obtain lock.txt "$LLMOPS_LOCK_SHA256"
    umask 022
    python3 -m venv --clear "$ROOT$LLMOPS_VENV"
    if [ -n "$LLMOPS_WHEELS" ]; then
        mirror
        pip --require-hashes --only-binary=:all: --no-index \
            --find-links "$ROOT/opt/llmops/wheels" -r "$ROOT/opt/llmops/lock.txt"
    else
        pip --require-hashes --only-binary=:all: -r "$ROOT/opt/llmops/lock.txt"
    fi
    pip --no-index "$ROOT/opt/llmops/$LLMOPS_WHEEL"
    umask 077
    echo "$wanted" >"$done_for"
}

stored_token() {
    printf '{"SecretId": "%s"}' "$LLMOPS_SECRET" |
        { secrets GetSecretValue | field SecretString; } 2>/dev/null
}

# The head makes Ray's token; so it is in nobody's state but the secret's own. The request's token
# is always the same: Secrets Manager then takes the first value only, whoever asks again.
make_token() {
    python3 -c 'import json, secrets, sys
print(json.dumps({"SecretId": sys.argv[1], "SecretString": secrets.token_hex(32),
                  "ClientRequestToken": "llmops-ray-token-of-this-stack-1"}))' \
        "$LLMOPS_SECRET" | secrets PutSecretValue >/dev/null || true
}

write_token() {
    file="$ROOT$LLMOPS_TOKEN_FILE"
    tries=0
    until token=$(stored_token) && [ -n "$token" ]; do
        if [ "$LLMOPS_ROLE" = head ]; then make_token; fi
        tries=$((tries + 1))
        if [ "$tries" -ge "${LLMOPS_TRIES:-90}" ]; then
            say "there is no token in $LLMOPS_SECRET yet: is the head up?"
            exit 1
        fi
        sleep "${LLMOPS_PAUSE:-10}"
    done
    printf '%s' "$token" >"$file.new"
    chown "$LLMOPS_USER" "$file.new"
    mv "$file.new" "$file"
}

write_address() {
    echo "LLMOPS_ADDRESS=$(imds local-ipv4)" >"$ROOT/etc/llmops/address.new"
    mv "$ROOT/etc/llmops/address.new" "$ROOT/etc/llmops/address"
}

make_user
use_nvme
own_home
check_driver
install_llmops
write_token
write_address
say "ready"
