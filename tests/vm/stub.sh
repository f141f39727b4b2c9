# Starts the stub of the Messages API; sets $url and exports what a session needs.
# start_stub KEY OPTIONS...
start_stub() {
    local key=$1
    shift
    mkfifo "$tmp/stub.in"
    python3 "$repo/tests/stub/messages_api.py" --port 0 --log "$tmp/requests" --key "$key" "$@" \
        <"$tmp/stub.in" >"$tmp/stub.out" 2>"$tmp/stub.err" &
    background="$background $!"
    exec 9>"$tmp/stub.in"
    wait_for 20 test -s "$tmp/stub.out" || fail "stub: $(cat "$tmp/stub.err")"
    url=$(python3 -c 'import json,sys; print(json.loads(sys.stdin.readline())["url"])' <"$tmp/stub.out")
}
