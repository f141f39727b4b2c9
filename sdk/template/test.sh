#!/bin/sh
# Tests @NAME@.so without a VM: agentvm-fakehost calls one hook and prints the plan it makes.
set -u
cd "$(dirname "$0")" || exit 1
fakehost=${FAKEHOST:-agentvm-fakehost}
failed=0

# asks TEXT HOOK [OPTIONS...]: the plan of that call contains TEXT
asks() {
    text=$1
    shift
    plan=$("$fakehost" ./@NAME@.so "$@") || plan="(no plan)"
    case $plan in
    *"$text"*) echo "ok    $*" ;;
    *)
        echo "FAIL  $*: no $text in $plan"
        failed=1
        ;;
    esac
}

# survives HOOK [OPTIONS...]: the hook returns whichever of its service calls fails
survives() {
    if "$fakehost" --fail-each ./@NAME@.so "$@"; then
        echo "ok    --fail-each $*"
    else
        echo "FAIL  --fail-each $*"
        failed=1
    fi
}

asks '"/usr/local/bin/@NAME@-agent"' provision
asks '"@VARIABLE@_API_KEY"' auth --host-env @VARIABLE@_API_KEY=sk-test
asks '"steps"' auth
asks '"@NAME@-agent"' launch
asks '"Good day"' launch --option greeting='Good day'
asks '"fix the tests"' launch -- "fix the tests"
survives provision
survives auth --host-env @VARIABLE@_API_KEY=sk-test
survives launch -- one two
exit $failed
