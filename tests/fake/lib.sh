# Sourced by the tests of the whole program with fake external programs (bash).
#
# Everything of agentvm's lies below $T: its home, its folders, the project $P.  The fakes of
# tests/fake/bin come first in PATH; what they log is $FAKE_LOG.  guestd is the real one, in a box
# ($T/box) in place of a VM.  Agent "hello" is installed, from sdk/example.  AGENTVM_BUILD is the
# folder of what is tested, such as build/asan.
set -u
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=$(cd "${AGENTVM_BUILD:-$ROOT/build}" && pwd) || exit 1
T=$(mktemp -d)
T=$(cd "$T" && pwd -P)
P="$T/project"
export HOME=$T/home FAKE_LOG=$T/fake.log FAKE_GUESTD=$T/guestd
export PATH="$ROOT/tests/fake/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
export XDG_DATA_HOME=$T/data XDG_CACHE_HOME=$T/cache XDG_CONFIG_HOME=$T/config XDG_RUNTIME_DIR=$T/run
unset FAKE_QEMU FAKE_KVM FAKE_MMDEBSTRAP FAKE_GATE FAKE_QEMU_VERSION
umask 022
mkdir -p "$HOME" "$P" "$XDG_DATA_HOME" "$XDG_CACHE_HOME" "$XDG_CONFIG_HOME/agentvm/plugins"
mkdir -m 700 "$XDG_RUNTIME_DIR"
: >"$FAKE_LOG"
printf '#!/bin/sh\nexec "%s/tests/fake/box" "%s/box" "%s/agentvm-guestd" "$@"\n' \
    "$ROOT" "$T" "$BUILD" >"$FAKE_GUESTD"
chmod 755 "$FAKE_GUESTD"
install -m 755 "$BUILD/sdk/hello.so" "$XDG_CONFIG_HOME/agentvm/plugins/hello.so"
cd "$P" || exit 1
AGENTVM=$BUILD/agentvm

# A detached VM of a test that failed would outlive it.  A background command that is killed before it
# is executed is still this shell, trap and all.
at_exit() {
    [ "$BASHPID" = $$ ] || return
    [ ! -d "$XDG_RUNTIME_DIR/agentvm" ] || timeout -k 5 60 "$AGENTVM" stop --all -q </dev/null >/dev/null 2>&1
    rm -rf "$T"
}
trap at_exit EXIT

fail() {
    echo "FAILED (line ${BASH_LINENO[${2:-0}]}): $1"
    for f in out err; do
        echo "--- $f"
        cat "$T/$f" 2>/dev/null
    done
    exit 1
}

# agentvm ARGUMENTS...: runs it with a bounded time; $T/out and $T/err get its output, $rc its code.
agentvm() {
    timeout -k 5 60 "$AGENTVM" "$@" </dev/null >"$T/out" 2>"$T/err"
    rc=$?
}

# expect CODE: the exit code of the last agentvm
expect() {
    [ "$rc" = "$1" ] || fail "exit code $rc instead of $1" 1
}

# says TEXT, prints TEXT: what the last agentvm wrote to stderr and stdout contains TEXT
says() {
    grep -qF -- "$1" "$T/err" || fail "stderr lacks: $1" 1
}
prints() {
    grep -qF -- "$1" "$T/out" || fail "stdout lacks: $1" 1
}

# started PROGRAM: how often that fake was started
started() {
    case $1 in
    qemu) grep -c '"argv"' "$FAKE_LOG" ;;
    mmdebstrap) grep -c '"mmdebstrap": \[' "$FAKE_LOG" ;;
    esac
}

. "$ROOT/tests/pause.sh" "$T"

# until_true SECONDS COMMAND...: waits for something that another process does
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        pause 0.05
    done
}

# The processes that belong to this test: their environment or arguments name its folder.
own_processes() {
    local p
    for p in /proc/[0-9]*; do
        [ "${p#/proc/}" != "$$" ] && [ "${p#/proc/}" != "$BASHPID" ] &&
            grep -qaF "agentvm" "$p/cmdline" 2>/dev/null &&
            grep -qaF "$T" "$p/environ" "$p/cmdline" 2>/dev/null && echo "${p#/proc/}"
    done
}
none_left() {
    [ -z "$(own_processes)" ]
}

# nothing_left: no process, no folder of a VM, no half-made layer
nothing_left() {
    until_true 10 none_left || fail "processes are left: $(own_processes | xargs ps -o pid,args -p)" 1
    local left
    left=$(find "$XDG_RUNTIME_DIR/agentvm" "$XDG_DATA_HOME/agentvm/vms" -mindepth 1 ! -name lock 2>/dev/null)
    [ -z "$left" ] || fail "files are left: $left" 1
    left=$(find "$XDG_DATA_HOME/agentvm/layers" -maxdepth 1 -name 'tmp.*' 2>/dev/null)
    [ -z "$left" ] || fail "drafts are left: $left" 1
}
