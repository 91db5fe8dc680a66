# Requests of AWS, signed by curl with the machine's own role. Nothing secret stands in an argument:
# other users of the machine could read it there.
# shellcheck shell=sh

IMDS="http://169.254.169.254/latest"

imds() {
    if [ -z "${IMDS_TOKEN:-}" ]; then
        IMDS_TOKEN=$(curl -sf --max-time 10 -X PUT -H "X-aws-ec2-metadata-token-ttl-seconds: 300" \
            "$IMDS/api/token")
    fi
    printf 'header = "X-aws-ec2-metadata-token: %s"\n' "$IMDS_TOKEN" |
        curl -sf --max-time 10 --config - "$IMDS/meta-data/$1"
}

# A field of a JSON document on standard input.
field() {
    python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

# signed SERVICE CURL-ARGUMENTS...; more of curl's configuration comes on standard input.
signed() {
    service=$1
    shift
    role=$(imds iam/security-credentials/)
    found=$(imds "iam/security-credentials/$role")
    {
        printf 'user = "%s:%s"\n' "$(printf '%s' "$found" | field AccessKeyId)" \
            "$(printf '%s' "$found" | field SecretAccessKey)"
        printf 'header = "x-amz-security-token: %s"\n' "$(printf '%s' "$found" | field Token)"
        cat
    } | curl -sS --fail --retry 5 --max-time 900 --config - \
        --aws-sigv4 "aws:amz:$AWS_REGION:$service" "$@"
}

# A bucket and key as the path of an address: names of wheels may have a plus.
quoted() {
    python3 -c 'import sys, urllib.parse; print(urllib.parse.quote(sys.argv[1]))' "$1"
}

# fetch s3://bucket/key FILE
fetch() {
    signed s3 -H "x-amz-content-sha256: UNSIGNED-PAYLOAD" -o "$2" \
        "https://s3.$AWS_REGION.amazonaws.com/$(quoted "${1#s3://}")" </dev/null
}

# list s3://bucket/prefix: the keys below it, one a line
list() {
    place=${1#s3://}
    signed s3 -H "x-amz-content-sha256: UNSIGNED-PAYLOAD" -G \
        --data-urlencode "list-type=2" --data-urlencode "prefix=${place#*/}/" \
        "https://s3.$AWS_REGION.amazonaws.com/${place%%/*}" </dev/null |
        python3 -c 'import re, sys, html
for key in re.findall("<Key>(.*?)</Key>", sys.stdin.read()):
    print(html.unescape(key))'
}

# json SERVICE TARGET; the request's JSON comes on standard input
json() {
    request=$(python3 -c 'import json, sys; print(json.dumps(sys.stdin.read()))')
    printf 'data = %s\n' "$request" |
        signed "$1" -H "X-Amz-Target: $2" -H "Content-Type: application/x-amz-json-1.1" \
            "https://$1.$AWS_REGION.amazonaws.com/"
}

secrets() { json secretsmanager "secretsmanager.$1"; }

logs() { json logs "Logs_20140328.$1"; }
