# Sourced by tests of kept VMs, after lib.sh.

# kept_layer DISK base|provisioned: the key of the layer that a kept disk is based on
kept_layer() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "${1%/*}/vm.json" "$2"; }

# check_disk DISK PASS...: e2fsck of the whole chain, as a raw image; each PASS are its options
check_disk() {
    local disk=$1 options
    local provisioned=$data/layers/$(kept_layer "$disk" provisioned)/disk.qcow2
    local base=$data/layers/$(kept_layer "$disk" base)/rootfs.ext4
    shift
    python3 - "$base" "$provisioned" "$disk" >"$tmp/chain" <<'PY'
import json, sys
base, provisioned, disk = sys.argv[1:]
node = {"driver": "raw", "file": {"driver": "file", "filename": base}}
for path in (provisioned, disk):
    node = {"driver": "qcow2", "file": {"driver": "file", "filename": path}, "backing": node}
print("json:" + json.dumps(node))
PY
    qemu-img convert -O raw -T none -t unsafe "$(cat "$tmp/chain")" "$tmp/raw" || fail "the disk cannot be read"
    for options in "$@"; do
        /sbin/e2fsck $options "$tmp/raw" >"$tmp/fsck" 2>&1
        [ $? -le 1 ] || fail "e2fsck $options: $(cat "$tmp/fsck")"
    done
    [ "${options:-}" != "-f -n" ] || ! grep -qi "recover\|orphan\|error" "$tmp/fsck" || fail "not clean: $(cat "$tmp/fsck")"
    rm "$tmp/raw"
}
