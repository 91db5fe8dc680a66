#!/bin/sh
# Sends what the journal has of llmops' agent, and of what prepares it, to CloudWatch, from where the
# last run has left off. A run that fails sends the same once more: a line may come twice, never not.
set -eu
umask 077

ROOT=${LLMOPS_ROOT:-}
# shellcheck source=/dev/null
. "$ROOT/etc/llmops/environment"
# shellcheck source=aws.sh
. "$ROOT/usr/local/lib/llmops/aws.sh"

kept="$ROOT/var/lib/llmops-logs"
mkdir -p "$kept"
rm -f "$kept/batch."* "$kept/cursor.new"
[ ! -e "$kept/cursor" ] || cp "$kept/cursor" "$kept/cursor.new"
stream="$LLMOPS_ROLE/$(imds instance-id)"

# A request takes a megabyte, counted with 26 bytes for each line, and spans a day at most.
journalctl -u llmops-agent.service -o json --no-pager --cursor-file="$kept/cursor.new" |
    python3 -c 'import json, pathlib, sys
group, stream, folder = sys.argv[1:]
batch, size, number = [], 0, 0
def put():
    text = json.dumps({"logGroupName": group, "logStreamName": stream, "logEvents": batch})
    pathlib.Path(folder, f"batch.{number:06d}").write_text(text)
for line in sys.stdin:
    entry = json.loads(line)
    said = entry.get("MESSAGE") or " "
    said = (said if isinstance(said, str) else bytes(said).decode(errors="replace"))[:8000]
    cost = 26 + len(said.encode())
    at = int(entry["__REALTIME_TIMESTAMP"]) // 1000
    late = batch and at - batch[0]["timestamp"] > 80000000
    if batch and (late or size + cost > 500000 or len(batch) == 1000):
        put()
        batch, size, number = [], 0, number + 1
    batch.append({"timestamp": max(at, batch[-1]["timestamp"] if batch else 0), "message": said})
    size += cost
if batch:
    put()' "$LLMOPS_LOG_GROUP" "$stream" "$kept"

if [ -e "$kept/batch.000000" ]; then
    printf '{"logGroupName": "%s", "logStreamName": "%s"}' "$LLMOPS_LOG_GROUP" "$stream" |
        logs CreateLogStream >/dev/null 2>&1 || true # it may be there: then what is put is taken
fi
for batch in "$kept"/batch.*; do
    [ -e "$batch" ] || continue
    logs PutLogEvents <"$batch" >/dev/null
done
[ ! -e "$kept/cursor.new" ] || mv "$kept/cursor.new" "$kept/cursor"
