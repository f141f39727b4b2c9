# Sourced by the soaks, with $AGENTVM, a function fail and a folder $soak: many starts and stops, ten at a time,
# and many programs in one VM; nothing may be left of them or grow.
soak_wide=10

# soak_many N COMMAND...: agentvm so often, $soak_wide at a time; each prints its own number
soak_many() {
    local n=$1
    shift
    seq "$n" | AGENTVM=$AGENTVM xargs -P "$soak_wide" -I{} sh -c '
        i=$1
        shift
        out=$("$AGENTVM" "$@" echo "$i" </dev/null 2>"$0/err.$i") && [ "$out" = "$i" ] ||
            echo "start $i printed [$out]: $(cat "$0/err.$i")" >&2' "$soak" {} "$@" 2>"$soak/failed"
    [ ! -s "$soak/failed" ] || fail "$(wc -l <"$soak/failed") of $n failed: $(head -n 3 "$soak/failed")"
    rm -f "$soak"/err.*
}

# soak_files FOLDER...: what is there, but for the record of the runs
soak_files() { find "$@" ! -name runs.jsonl ! -name '*.lock' 2>/dev/null | sort; }

# soak_process PID: its descriptors and KiB of memory
soak_process() {
    echo "$(ls "/proc/$1/fd" | wc -l) $(awk '/^VmRSS/ { print $2 }' "/proc/$1/status")"
}

# soak_starts N FOLDER... -- COMMAND...: new VMs
soak_starts() {
    local n=$1 folders=() before
    shift
    while [ "$1" != -- ]; do folders+=("$1"); shift; done
    shift
    before=$(soak_files "${folders[@]}")
    soak_many "$n" "$@"
    [ "$(soak_files "${folders[@]}")" = "$before" ] ||
        fail "left after $n starts: $(diff <(echo "$before") <(soak_files "${folders[@]}"))"
}

# soak_joins N PID -- COMMAND...: programs in the VM whose supervisor PID is
soak_joins() {
    local n=$1 pid=$2 fds rss fds_now rss_now
    shift 3
    soak_many $((n / 2)) "$@" # what it needs once
    read -r fds rss < <(soak_process "$pid")
    soak_many $((n / 2)) "$@"
    read -r fds_now rss_now < <(soak_process "$pid")
    [ "$fds_now" = "$fds" ] || fail "the supervisor has $fds_now descriptors after $n programs, $fds after half of them"
    [ "$rss_now" -le $((rss + 256)) ] || fail "the supervisor grew from $rss to $rss_now KiB"
}
