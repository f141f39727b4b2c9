# A terminal for a test: screen, see, type_keys.
T="tmux -L agentvm-test-$$ -f /dev/null"
at_exit() { $T kill-server 2>/dev/null; }
screen() { $T capture-pane -p; }
shows() { screen | grep -q -- "$1"; }
see() {
    wait_for "${2:-30}" shows "$1" || fail "the screen lacks [$1]:
$(screen)"
}
type_keys() { $T send-keys "$@"; }
start_terminal() {
    $T new-session -d -x 100 -y 30 "env PS1='host> ' XDG_RUNTIME_DIR=$XDG_RUNTIME_DIR bash --norc"
    see 'host>'
}
