#!/bin/sh
# Sends to CloudWatch, from where the last run has left off, what the journal has of cloud-init, of
# llmops' agent and of what prepares it; and the logs of the machine's Ray and of each replica here,
# which are files. A run that fails sends the same once more: a line may come twice, never not.
set -eu
umask 077

ROOT=${LLMOPS_ROOT:-}
# shellcheck source=/dev/null
. "$ROOT/etc/llmops/environment"
# shellcheck source=aws.sh
. "$ROOT/usr/local/lib/llmops/aws.sh"

kept="$ROOT/var/lib/llmops-logs"
mkdir -p "$kept"
rm -f "$kept/batch."* "$kept/cursor.new" "$kept/offsets.new"
[ ! -e "$kept/cursor" ] || cp "$kept/cursor" "$kept/cursor.new"
stream="$LLMOPS_ROLE/$(imds instance-id)"

# A request takes a megabyte, counted with 26 bytes for each line, and spans a day at most.
journalctl -u llmops-agent.service -u "cloud-*" -o json --no-pager \
    --cursor-file="$kept/cursor.new" |
    python3 -c 'import json, pathlib, sys, time
group, stream, folder, logs = sys.argv[1:]
batch, size, number = [], 0, 0
kept, ends = pathlib.Path(folder, "offsets"), {}
def journal():
    for line in sys.stdin:
        entry = json.loads(line)
        said = entry.get("MESSAGE") or " "
        said = said if isinstance(said, str) else bytes(said).decode(errors="replace")
        yield int(entry["__REALTIME_TIMESTAMP"]) // 1000, said
def files():
    begun, root = json.loads(kept.read_text()) if kept.exists() else {}, pathlib.Path(logs)
    for path in sorted([*root.glob("*.log"), *root.glob("*/r*/*.log")]):
        name, state = str(path.relative_to(root)), path.stat()
        inode, end = begun.get(name, (0, 0))
        end = end if inode == state.st_ino and end <= state.st_size else 0
        with path.open("rb") as file:
            file.seek(end)
            for line in file.readlines(4000000):
                if line.endswith(b"\n"):
                    end, said = end + len(line), line.decode(errors="replace").rstrip()
                    yield int(time.time() * 1000), f"{name}: {said}"
        ends[name] = state.st_ino, end
def put():
    text = json.dumps({"logGroupName": group, "logStreamName": stream, "logEvents": batch})
    pathlib.Path(folder, f"batch.{number:06d}").write_text(text)
for at, said in (one for source in (journal(), files()) for one in source):
    said = said[:8000]
    cost = 26 + len(said.encode())
    late = batch and at - batch[0]["timestamp"] > 80000000
    if batch and (late or size + cost > 500000 or len(batch) == 1000):
        put()
        batch, size, number = [], 0, number + 1
    batch.append({"timestamp": max(at, batch[-1]["timestamp"] if batch else 0), "message": said})
    size += cost
if batch:
    put()
pathlib.Path(folder, "offsets.new").write_text(json.dumps(ends))' \
        "$LLMOPS_LOG_GROUP" "$stream" "$kept" "$ROOT$LLMOPS_HOME/logs"

if [ -e "$kept/batch.000000" ]; then
    printf '{"logGroupName": "%s", "logStreamName": "%s"}' "$LLMOPS_LOG_GROUP" "$stream" |
        logs CreateLogStream >/dev/null 2>&1 || true # it may be there: then what is put is taken
fi
for batch in "$kept"/batch.*; do
    [ -e "$batch" ] || continue
    logs PutLogEvents <"$batch" >/dev/null
done
mv "$kept/offsets.new" "$kept/offsets"
[ ! -e "$kept/cursor.new" ] || mv "$kept/cursor.new" "$kept/cursor"
