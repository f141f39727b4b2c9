# agentvm image recipe: the customize hook. Runs outside the chroot, $1 = root of the new system.
# Parameters in the environment: AV_USER AV_UID AV_GID AV_GROUP AV_HOME AV_SHELL AV_SIZE
# and file descriptors (numbers >= 20, open read-write, mode 0666): AV_FD_IMG AV_FD_KERNEL AV_FD_INITRD
set -eu
umask 022
R=$1
in_root() { PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 chroot "$R" "$@"; }
put() { mkdir -p "$R${1%/*}"; cat > "$R$1"; chmod "${2:-644}" "$R$1"; }
say() { echo "agentvm: phase $1" >&2; }

say config
# --- the host's extra CA certificates
for c in /usr/local/share/ca-certificates/*.crt; do
  if [ -r "$c" ]; then mkdir -p "$R/usr/local/share/ca-certificates"; cat "$c" > "$R/usr/local/share/ca-certificates/${c##*/}"; fi
done
in_root update-ca-certificates >/dev/null 2>&1 || true

# --- the user
s=$AV_SHELL; [ -x "$R$s" ] || s=/bin/bash
if [ "$AV_UID" = 0 ]; then
  in_root usermod -s "$s" root
elif ! in_root getent passwd "$AV_USER" >/dev/null; then
  if ! in_root getent group "$AV_GID" >/dev/null; then
    g=$AV_GROUP; if in_root getent group "$g" >/dev/null; then g=g$AV_GID; fi
    in_root groupadd -g "$AV_GID" "$g"
  fi
  mkdir -p "$R${AV_HOME%/*}"
  gs=sudo; if in_root getent group docker >/dev/null; then gs=sudo,docker; fi
  in_root useradd -l -o -u "$AV_UID" -g "$AV_GID" -d "$AV_HOME" -s "$s" -m -k /etc/skel -G "$gs" "$AV_USER"
fi
if [ "$AV_UID" != 0 ]; then printf '%s ALL=(ALL:ALL) NOPASSWD: ALL\n' "$AV_USER" | put /etc/sudoers.d/agentvm 440; fi
case $s in */zsh) h=$AV_HOME; [ "$AV_UID" = 0 ] && h=/root; [ -e "$R$h/.zshrc" ] || { : > "$R$h/.zshrc"; chown "$AV_UID:$AV_GID" "$R$h/.zshrc"; };; esac
[ ! -e "$R/usr/bin/fdfind" ] || ln -sf ../../bin/fdfind "$R/usr/local/bin/fd"

# --- plain files. The address itself is set by the initrd.
rm -f "$R/etc/resolv.conf" "$R/etc/hostname" "$R/etc/hosts"
echo 'nameserver 10.0.2.3' | put /etc/resolv.conf
echo agentvm | put /etc/hostname
put /etc/hosts <<'E'
127.0.0.1 localhost agentvm
::1 localhost ip6-localhost ip6-loopback
E
put /etc/environment <<'E'
LANG=C.UTF-8
NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
E
echo 'LANG=C.UTF-8' | put /etc/default/locale
echo 'LANG=C.UTF-8' | put /etc/locale.conf
ln -sf /usr/share/zoneinfo/Etc/UTC "$R/etc/localtime"
echo '# the initrd mounts the root' | put /etc/fstab
put /etc/systemd/journald.conf.d/agentvm.conf <<'E'
[Journal]
Storage=volatile
RuntimeMaxUse=16M
Audit=no
E
put /etc/systemd/system.conf.d/agentvm.conf <<'E'
[Manager]
ShowStatus=no
DefaultTimeoutStopSec=5s
E
# what kmod-static-nodes.service would find out at every boot: nodes that load their module when opened
put /etc/tmpfiles.d/agentvm-nodes.conf <<'E'
d /dev/net 0755 - - -
c! /dev/net/tun 0666 - - - 10:200
c! /dev/loop-control 0660 root disk - 10:237
c! /dev/fuse 0666 - - - 10:229
E
ln -sfn /dev/null "$R/etc/tmpfiles.d/systemd-nologin.conf"
put /etc/sysctl.d/60-agentvm.conf <<'E'
fs.inotify.max_user_watches=524288
fs.inotify.max_user_instances=1024
vm.max_map_count=262144
E
put /etc/modprobe.d/agentvm.conf <<'E'
# nothing here is forbidden, only not loaded by itself
blacklist kvm_amd
blacklist kvm_intel
blacklist ccp
blacklist ahci
blacklist cfg80211
blacklist i2c_i801
blacklist i2c_piix4
blacklist lpc_ich
blacklist iTCO_wdt
blacklist psmouse
blacklist pcspkr
blacklist evdev
blacklist button
blacklist floppy
blacklist parport_pc
blacklist powernow_k8
blacklist acpi_cpufreq
blacklist qemu_fw_cfg
E

# --- units
put /etc/systemd/system/agentvm-guestd.service <<'E'
[Unit]
Description=agentvm guest daemon
DefaultDependencies=no
ConditionPathExists=/run/agentvm/guestd
Before=systemd-journald.service systemd-udevd.service systemd-udev-trigger.service systemd-sysctl.service systemd-modules-load.service systemd-tmpfiles-setup-dev-early.service systemd-tmpfiles-setup-dev.service systemd-tmpfiles-setup.service shutdown.target
Conflicts=shutdown.target

[Service]
Type=simple
ExecStart=/run/agentvm/guestd
Restart=on-failure
RestartSec=200ms
KillMode=process
OOMScoreAdjust=-900
TasksMax=infinity
LimitNOFILE=1048576
Delegate=yes
Environment=HOME=/root LANG=C.UTF-8
StandardInput=null
StandardOutput=file:/dev/ttyS0
StandardError=file:/dev/ttyS0

[Install]
WantedBy=sysinit.target
E
# coldplug only what needs a rule run over its node; the initrd has loaded the modules for our own devices
put /etc/systemd/system/systemd-udev-trigger.service.d/agentvm.conf <<'E'
[Service]
ExecStart=
ExecStart=-udevadm trigger --type=devices --action=add --prioritized-subsystem=block --subsystem-match=block --subsystem-match=net --subsystem-match=virtio-ports --subsystem-match=tty --subsystem-match=misc --subsystem-match=mem --sysname-match=vd* --sysname-match=eth* --sysname-match=lo --sysname-match=vport* --sysname-match=ttyS* --sysname-match=tty --sysname-match=ptmx --sysname-match=fuse --sysname-match=kvm --sysname-match=tun --sysname-match=null --sysname-match=zero --sysname-match=full --sysname-match=*random
E
ln -sfn /usr/lib/systemd/system/multi-user.target "$R/etc/systemd/system/default.target"
in_root systemctl enable -q agentvm-guestd.service
[ ! -e "$R/usr/lib/systemd/system/docker.socket" ] || in_root systemctl enable -q docker.socket
in_root systemctl disable -q systemd-networkd.service systemd-networkd.socket docker.service containerd.service systemd-pstore.service e2scrub_reap.service remote-fs.target 2>/dev/null || true
rm -f "$R"/etc/systemd/system/*.wants/docker.service "$R"/etc/systemd/system/*.wants/containerd.service "$R"/etc/systemd/system/*.wants/systemd-networkd* "$R"/etc/systemd/system/*.wants/systemd-network-generator.service
for u in systemd-timesyncd.service apt-daily.timer apt-daily-upgrade.timer man-db.timer e2scrub_all.timer fstrim.timer dpkg-db-backup.timer \
  logrotate.timer systemd-tmpfiles-clean.timer systemd-networkd-wait-online.service \
  getty.target getty@.service serial-getty@.service console-getty.service \
  systemd-logind.service systemd-user-sessions.service \
  systemd-random-seed.service systemd-journal-flush.service systemd-journal-catalog-update.service systemd-update-done.service \
  systemd-sysusers.service systemd-firstboot.service systemd-hwdb-update.service systemd-machine-id-commit.service ldconfig.service \
  systemd-remount-fs.service kmod-static-nodes.service systemd-modules-load.service systemd-udev-load-credentials.service \
  systemd-tmpfiles-setup-dev-early.service systemd-binfmt.service systemd-hibernate-clear.service \
  systemd-pcrmachine.service systemd-pcrphase.service systemd-pcrphase-sysinit.service systemd-tpm2-setup.service systemd-tpm2-setup-early.service \
  systemd-pcrextend.socket systemd-pcrlock.socket systemd-creds.socket systemd-sysext.socket systemd-initctl.socket \
  systemd-ask-password-console.path systemd-ask-password-wall.path \
  dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount \
  proc-sys-fs-binfmt_misc.automount run-lock.mount tmp.mount; do
  rm -rf "$R/etc/systemd/system/$u"; ln -s /dev/null "$R/etc/systemd/system/$u"
done
# dbus by its socket only
mkdir -p "$R/etc/systemd/system/multi-user.target.wants"; ln -sfn /dev/null "$R/etc/systemd/system/multi-user.target.wants/dbus.service"
mkdir -p "$R/etc/systemd/system-generators"
for g in "$R"/usr/lib/systemd/system-generators/*; do [ ! -e "$g" ] || ln -sfn /dev/null "$R/etc/systemd/system-generators/${g##*/}"; done

# --- identity: fixed here (so that no boot is a first boot), renewed by guestd at every start
echo 61676e74766d00000000000000000001 | put /etc/machine-id 444
mkdir -p "$R/var/lib/dbus"; ln -sfn /etc/machine-id "$R/var/lib/dbus/machine-id"
rm -f "$R"/etc/ssh/ssh_host_* "$R/var/lib/systemd/random-seed" "$R/var/lib/systemd/credential.secret"
in_root /usr/lib/systemd/systemd-update-done >/dev/null 2>&1 || touch "$R/etc/.updated" "$R/var/.updated"

# --- initrd: busybox, a few modules, a shell script; not compressed
say initrd
V=$(ls "$R/lib/modules" | sort -V | tail -n 1)
I=$R/run/agentvm-initrd
rm -rf "$I"; mkdir -p "$I/bin" "$I/m" "$I/n" "$I/dev" "$I/proc" "$I/sys" "$I/r"
cp "$R/usr/bin/busybox" "$I/bin/busybox"
modules() { # DIR MODULE...: they and what they need, in load order, unpacked
  d=$1; shift; n=10
  in_root modprobe -S "$V" -D -a "$@" 2>/dev/null | while read -r w f _; do
    [ "$w" = insmod ] || continue
    b=${f##*/}; b=${b%%.ko*}.ko
    [ -z "$(ls "$I"/m/*-"$b" "$I"/n/*-"$b" 2>/dev/null)" ] || continue
    case $f in *.xz) in_root xz -dc "$f";; *.zst) in_root zstd -dc "$f";; *.gz) in_root gzip -dc "$f";; *) cat "$R$f";; esac > "$I/$d/$n-$b"
    n=$((n+1))
  done
}
modules m virtio_pci virtio_blk ext4 crc32c_intel
modules n virtio_net virtio_rng
cat > "$I/init" <<'E'
#!/bin/busybox sh
B=/bin/busybox
$B mount -t devtmpfs d /dev
for m in /m/*.ko; do $B insmod $m; done
n=0
until [ -b /dev/vda ]; do
  n=$((n+1)); [ $n -lt 500 ] || { echo "agentvm: no disk" >/dev/console; $B poweroff -f; }
  $B usleep 20000
done
$B mount -t ext4 -o rw,noatime,nodiscard /dev/vda /r || { echo "agentvm: no root file system" >/dev/console; $B poweroff -f; }
$B mount -t tmpfs -o mode=755,nosuid,nodev,size=20%,nr_inodes=800k tmpfs /r/run
if [ -f /agentvm-guestd ]; then
  $B mkdir /r/run/agentvm
  $B cp /agentvm-guestd /r/run/agentvm/guestd
  $B chmod 755 /r/run/agentvm/guestd
fi
for m in /n/*.ko; do $B insmod $m; done
$B ip link set lo up
$B ip link set eth0 up && $B ip addr add 10.0.2.15/24 broadcast + dev eth0 && $B ip route add default via 10.0.2.2
$B umount /dev
export SYSTEMD_SECCOMP=0
exec $B switch_root /r /lib/systemd/systemd
E
chmod 755 "$I/init"
in_root sh -c 'cd /run/agentvm-initrd && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0' > "$R/run/agentvm-initrd.cpio"
rm -rf "$I"
cat "$R/run/agentvm-initrd.cpio" > "/proc/self/fd/$AV_FD_INITRD"
rm "$R/run/agentvm-initrd.cpio"
# the kernel as an ELF file: QEMU starts it by its PVH entry, which saves unpacking it in the guest
in_root python3 - "/boot/vmlinuz-$V" > "/proc/self/fd/$AV_FD_KERNEL" <<'E'
import struct, subprocess, sys
d = open(sys.argv[1], 'rb').read()
off, n = struct.unpack_from('<II', d, 0x248)
p = d[((d[0x1f1] or 4) + 1) * 512 + off:][:n]
for magic, tool in ((b'\x28\xb5\x2f\xfd', 'zstd -dcq'), (b'\xfd7zXZ', 'xz -dcq --single-stream'), (b'\x1f\x8b', 'gzip -dcq')):
    if p.startswith(magic):
        r = subprocess.run(tool.split(), input=p[:-4], stdout=subprocess.PIPE).stdout
        if r.startswith(b'\x7fELF') and len(r) == struct.unpack('<I', p[-4:])[0] and b'Xen\0' in r:
            d = r
sys.stdout.buffer.write(d)
E
[ -z "${AV_TUNE_ONLY:-}" ] || exit 0

# --- clean up
say clean
in_root apt-get clean
# what mmdebstrap would undo only after this hook
if [ -e "$R/usr/sbin/start-stop-daemon.REAL" ]; then mv "$R/usr/sbin/start-stop-daemon.REAL" "$R/usr/sbin/start-stop-daemon"; fi
rm -f "$R/usr/sbin/policy-rc.d" "$R/etc/apt/apt.conf.d/00mmdebstrap"
rm -rf "$R"/run/agentvm*
rm -rf "$R"/var/lib/apt/lists/* "$R"/var/cache/apt/*.bin "$R"/var/cache/debconf/*-old "$R"/var/lib/dpkg/*-old "$R"/var/log/*.log "$R"/var/log/apt "$R"/boot/initrd* "$R"/boot/vmlinuz* "$R"/initrd* "$R"/vmlinuz*
rm -rf "$R"/tmp/* "$R"/var/tmp/*

# --- the file system, from a bind mount that shows the root without what mmdebstrap mounted in it
say ext4
M=$(mktemp -d)
mount --bind "$R" "$M"
rc=0
/sbin/mke2fs -q -F -t ext4 -L agentvm -m 0 -J size=64 -O ^resize_inode \
  -E root_owner=0:0,lazy_journal_init=1,assume_storage_prezeroed=1,nodiscard \
  -d "$M" "/proc/self/fd/$AV_FD_IMG" "$AV_SIZE" || rc=$?
umount "$M"; rmdir "$M"
say done
exit $rc
