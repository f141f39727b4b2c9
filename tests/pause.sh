# Sourced with a folder of the test's own: waiting without a child, unlike sleep or reading from a process
# substitution, and the time.
mkfifo "$1/never"
exec {never}<>"$1/never"
# pause SECONDS
pause() { read -r -t "$1" -u "$never" || :; }
# seconds MS: in $seconds
seconds() { printf -v seconds '%d.%03d' $(($1 / 1000)) $(($1 % 1000)); }
pause_ms() { seconds "$1" && pause "$seconds"; }
now_ms() { local t=${EPOCHREALTIME/[.,]/}; echo $((t / 1000)); }
