#!/bin/sh
# pid 1 of a machine: init.sh NAME DIRECTORY BPF-DIRECTORY
# It is started in new mount, uts, ipc and pid namespaces and in the machine's
# network namespace. Its standard input is a pipe that the lab's owner holds:
# when that closes, for whatever reason, pid 1 ends and the kernel takes the
# rest of the machine along.
set -eu
name=$1 dir=$2 bpf=$3
root=$dir/root

mount --make-rprivate /
mount -t overlay whylab -o "lowerdir=/,upperdir=$dir/upper,workdir=$dir/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs -o mode=755 dev "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s fd/0 "$root/dev/stdin"
ln -s fd/1 "$root/dev/stdout"
ln -s fd/2 "$root/dev/stderr"
mknod -m 666 "$root/dev/null" c 1 3
mknod -m 666 "$root/dev/zero" c 1 5
mknod -m 666 "$root/dev/random" c 1 8
mknod -m 666 "$root/dev/urandom" c 1 9
mknod -m 666 "$root/dev/tty" c 5 0
mount --bind "$bpf" "$root/usr/lib/whylab/bpf"
hostname "$name"

cd "$root"
pivot_root . mnt/old
cd /
umount -l /mnt/old
rmdir /mnt/old

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
exec 3<&0 </dev/null
/usr/lib/whylab/boot 3<&- >&2
echo ready
exec >/dev/null
# wait reaps the orphans of the whole machine until cat, and so the owner, ends
cat <&3 &
wait $!
