# Starts stubs of model APIs, which end with the test; each logs its requests in $tmp/requests.
# start_stub_of API KEY OPTIONS...: sets $url.
start_stub_of() {
    local api=$1 key=$2 name hold
    shift 2
    name=$(mktemp -u "$tmp/stub.XXXXXX")
    mkfifo "$name.in"
    python3 -B "$repo/tests/stub/$api.py" --port 0 --log "$tmp/requests" --key "$key" "$@" \
        <"$name.in" >"$name.out" 2>"$name.err" &
    background="$background $!"
    exec {hold}>"$name.in"
    wait_for 20 test -s "$name.out" || fail "stub: $(cat "$name.err")"
    url=$(python3 -c 'import json,sys; print(json.loads(sys.stdin.readline())["url"])' <"$name.out")
}

# The stub of the Messages API, for claude.  start_stub KEY OPTIONS...
start_stub() { start_stub_of messages_api "$@"; }
