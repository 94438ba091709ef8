# SPDX-License-Identifier: GPL-2.0
# Enters a root folder as if it were a machine of its own, and becomes its first process. It is started as root in
# mount and process namespaces of its own:
#     sh -c "$(cat enter.sh)" enter.sh ROOT [--bind OUTSIDE INSIDE | --tmpfs MIB INSIDE]… -- COMMAND…
# A folder that was entered with chroot alone may not make user namespaces; one that was entered with pivot_root may.
set -eu
root=$1
shift
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
# Few devices, as in a container: what runs there as root shall not reach this machine's disks.
mount -t tmpfs -o mode=755,size=1m tmpfs "$root/dev"
for name in null zero full random urandom tty; do
    touch "$root/dev/$name"
    mount --bind "/dev/$name" "$root/dev/$name"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s fd/0 "$root/dev/stdin"
ln -s fd/1 "$root/dev/stdout"
ln -s fd/2 "$root/dev/stderr"
while [ "$1" != -- ]; do
    case $1 in
    --bind)
        if [ -d "$2" ]; then mkdir -p "$root$3"; elif [ ! -e "$root$3" ]; then touch "$root$3"; fi
        mount --bind "$2" "$root$3"
        mount -o remount,bind,ro "$root$3"
        ;;
    --tmpfs)
        mkdir -p "$root$3"
        mount -t tmpfs -o "mode=1777,size=$2m" tmpfs "$root$3"
        ;;
    esac
    shift 3
done
shift
cd "$root"
mkdir -p .outside
pivot_root . .outside
# From here on programs are the new root's, which need not have `umount`; perl is in every Debian. The number is
# umount2's on x86-64, the flag MNT_DETACH.
perl -e 'exit(syscall(166, my $dir = "/.outside", 2) != 0)'
rmdir /.outside
cd /
exec "$@"
