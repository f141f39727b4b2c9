# Shared by the tests that start real VMs.  The template is the user's own, kept between runs; run
# folder and projects are the test's.
set -u
repo=$(cd "$(dirname "$0")/../.." && pwd)
AGENTVM=$repo/build/agentvm
tmp=$(mktemp -d "${TMPDIR:-/tmp}/agentvm-test.XXXXXX")
export XDG_RUNTIME_DIR=$tmp/run
mkdir -m 700 "$XDG_RUNTIME_DIR"
unset ANTHROPIC_API_KEY ANTHROPIC_AUTH_TOKEN CLAUDE_CODE_OAUTH_TOKEN ANTHROPIC_BASE_URL
unset OPENAI_API_KEY CODEX_API_KEY OPENAI_BASE_URL
data=${XDG_DATA_HOME:-$HOME/.local/share}/agentvm
project=$tmp/project
mkdir "$project"
background=

at_exit() { :; } # a test may replace it

cleanup() {
    status=$?
    [ "$BASHPID" = $$ ] || return # a background command that was killed before it was executed
    trap - EXIT
    at_exit
    for pid in $background; do kill "$pid" 2>/dev/null; done
    for pid in $background; do wait "$pid" 2>/dev/null; done
    "$AGENTVM" stop --all -q </dev/null
    rm -rf "$tmp"
    exit $status
}
trap cleanup EXIT

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# expect WHAT EXPECTED ACTUAL
expect() {
    [ "$2" = "$3" ] || fail "$1: expected [$2], got [$3]"
}

. "$repo/tests/pause.sh" "$tmp"

# wait_for SECONDS COMMAND...: polls a condition of another process, with a deadline.
wait_for() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $deadline ] || return 1
        pause 0.2
    done
}

vms_running() {
    "$AGENTVM" list --json | python3 -c 'import json,sys; print(sum(v["state"] == "running" for v in json.load(sys.stdin)))'
}

# vm_field NAME: of the first VM that runs.
vm_field() {
    "$AGENTVM" list --json | python3 -c 'import json,sys; v=[v for v in json.load(sys.stdin) if v["state"] == "running"]; print(v[0][sys.argv[1]] if v else "")' "$1"
}

a_vm_runs() { [ "$(vms_running)" -gt 0 ]; }
process_gone() { ! kill -0 "$1" 2>/dev/null; }

# engines: those that have $project, which is their descriptor 7, or a folder in $tmp
engines() {
    local pid
    for pid in $(pgrep -f qemu-system; true); do
        case $(readlink "/proc/$pid/fd/7" || true) in "$project"* | "$tmp"*) echo "$pid" ;; esac
    done
    pgrep -f "path=$tmp" || true
}
an_engine_runs() { [ -n "$(engines)" ]; }

# Nothing of any VM of this test is left: the sweep of `agentvm list` counts as the next command.
nothing_left() {
    [ "$(vms_running)" = 0 ] || return 1
    [ "$(ls "$XDG_RUNTIME_DIR/agentvm" | grep -vc '^lock$')" = 0 ] || return 1
    [ -z "$(find "$data/vms" -name lock -lname "$XDG_RUNTIME_DIR/*")" ] || return 1 # each links to its run folder
    ! an_engine_runs
}

# start_vm: a VM for $project in the background; its client's process id is in $client.
start_vm() {
    (cd "$project" && exec "$AGENTVM" exec -- sleep 100000) </dev/null >"$tmp/client.out" 2>"$tmp/client.err" &
    client=$!
    background="$background $client"
    wait_for 200 a_vm_runs || fail "no VM came up: $(cat "$tmp/client.err")"
}
