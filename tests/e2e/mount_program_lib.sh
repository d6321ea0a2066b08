# What podman and buildah do with veneerfs as their mount_program, and how it is proved: the same is
# done with plain directories, and the trees must be the same; so must what was saved, loaded where
# the kernel's overlay mounts it.
# shellcheck shell=bash

# The ways to run them:
#   plain     root, plain directories: the oracle (the kernel's overlay breaks hard links)
#   kernel    root, the kernel's overlay
#   root      root, veneerfs
#   volatile  root, veneerfs, nothing synced
#   user      veneer-test, veneerfs
#   masked    veneer-test, veneerfs, owners and modes in an attribute (force_mask)
# Each has a storage of its own, and its podman-WAY and buildah-WAY in $WORK/bin.

# storage_of WAY
storage_of() {
  case $1 in
    user | masked) echo "$WORK/user/storage-$1" ;;
    *) echo "$WORK/storage-$1" ;;
  esac
}

make_tools() {
  local way storage options podman="--cgroup-manager cgroupfs --events-backend none --runtime runc"
  for way in "$@"; do
    storage=$(storage_of "$way")
    options="--root $storage --runroot $storage-run --storage-driver"
    case $way in
      plain) options+=" vfs" ;;
      kernel) options+=" $(storage_driver)" ;;
      volatile)
        options+=" overlay --storage-opt overlay.mount_program=$WORK/bin/veneerfs"
        options+=" --storage-opt overlay.mountopt=volatile,nodev"
        ;;
      *) options+=" overlay --storage-opt overlay.mount_program=$WORK/bin/veneerfs" ;;
    esac
    [[ $way != masked ]] || options+=" --storage-opt overlay.force_mask=700"
    printf '#!/bin/sh\nexec podman %s %s --tmpdir %s "$@"\n' "$options" "$podman" "$storage-tmp" \
      >"$WORK/bin/podman-$way"
    printf '#!/bin/sh\nexec buildah %s "$@"\n' "$options" >"$WORK/bin/buildah-$way"
    chmod 755 "$WORK/bin"/{podman,buildah}-"$way"
  done
}

# tool PROGRAM WAY ARGUMENT...: podman or buildah.
tool() {
  local program=$1 way=$2
  shift 2
  case $way in
    user | masked) as_user "$program-$way" "$@" ;;
    *) "$WORK/bin/$program-$way" "$@" ;;
  esac
}

# within PROGRAM WAY SCRIPT ARGUMENT...: a shell script, with the mounts of that way in its sight;
# $tool in it is the program.
within() {
  local program=$1 way=$2 script=$3
  shift 3
  case $way in
    user | masked) tool "$program" "$way" unshare env "tool=$program-$way" bash -ec "$script" within "$@" ;;
    *) tool=$WORK/bin/$program-$way PATH=$WORK/bin:$PATH bash -ec "$script" within "$@" ;;
  esac
}

# without_times LISTING...: what ran twice has two, and podman's archives have whole seconds.
without_times() { awk '{$5 = "-"; print}' "$@"; }

# The directory to COPY: of everything a change can begin with.
make_context() {
  mkdir "$1"
  (
    enter "$1"
    mkdir -p tree/{dir,gone/below,old/inner/deep,replaced,sub/deep}
    local file
    for file in a b prog becomes-dir dir/{one,two} gone/below/x old/{1,2,3} old/inner/deep/z \
      replaced/{p,q} sub/deep/s; do
      echo "the content of $file" >"tree/$file"
    done
    head -c 3000000 /dev/urandom >tree/old/large
    cat >Dockerfile <<'END'
FROM veneer/small
COPY --chown=5:6 tree /data
RUN echo linked >/data/l1 && ln /data/l1 /data/dir/l2 && ln -s a /data/s && mkfifo /data/p
RUN chown -R 7:8 /data/dir && chmod 4755 /data/prog && chmod 2775 /data/sub
RUN rm -r /data/gone && mv /data/old /data/new && rm /data/becomes-dir && mkdir /data/becomes-dir \
 && rm -r /data/replaced && mkdir /data/replaced && echo new >/data/replaced/new
RUN echo more >>/data/l1 && chmod 640 /data/b
LABEL made.by=test
END
  )
  chmod -R a+rX "$1"
}

# Changes to make in a container of that image. Lower directories move: /data/new (which the build
# had moved before), a directory in it, and /data/dir into a new one.
CHANGES='
set -ex
mv /data/new /data/newer
mv /data/newer/inner /data/inner
mkdir /data/made
mv /data/dir /data/made/dir
echo written >>/data/l1
tail -n 1 /data/made/dir/l2 | grep -qx written
chmod 600 /etc/passwd
rm /etc/issue
rm -r /data/sub
mkdir /data/sub
echo x >/data/sub/x
chown 9:10 /data/prog
ln -s target /data/new-symlink
echo linked >/data/h1
ln /data/h1 /data/h2
mkfifo /data/made/fifo
chown -h 11:12 /data/s
rm -r /home
echo "no directory" >/home
'

# What the image of those changes must have, whatever made it. Run in it.
CHECKS='
set -ex
tail -n 1 /data/made/dir/l2 | grep -qx written
[ /data/l1 -ef /data/made/dir/l2 ]
[ /data/h1 -ef /data/h2 ]
[ ! -e /data/new ] && [ ! -e /data/old ] && [ ! -e /data/dir ] && [ ! -e /etc/issue ]
grep -q "content of old/inner/deep/z" /data/inner/deep/z
[ "$(ls /data/newer)" = "$(printf "1\n2\n3\nlarge")" ]
[ "$(ls /data/sub)" = x ]
[ -p /data/made/fifo ]
[ "$(cat /home)" = "no directory" ]
[ "$(stat -c %u:%g /data/prog)" = 9:10 ]
'

# without_fifos: nothing of the above makes a FIFO. (Under force_mask, podman 4 cannot unpack them.)
without_fifos() {
  sed -i 's, && mkfifo /data/p,,' "$WORK/context/Dockerfile"
  CHANGES=$(grep -v mkfifo <<<"$CHANGES")
  CHECKS=$(grep -v -e '-p /data' <<<"$CHECKS")
}

# expect_moved WAY UPPER: the directories were renamed, not copied.
expect_moved() {
  local size
  [[ $1 != plain ]] || return 0
  size=$(du -sk "$2" | cut -f 1)
  ((size < 1000)) || fail "$1: the container's layer has $size kB"
  getfattr -h -d -m 'overlay[.]redirect$' --absolute-names "$2/data/newer" | grep -q '="/data/new"$' ||
    fail "$1: /data/newer has no redirect"
}

# nothing_left WAY: after a reset, no mount, no daemon, no file, no directory.
nothing_left() {
  local storage left
  storage=$(storage_of "$1")
  wait_for 10 no_daemon_left || fail "$1: a veneerfs is still there"
  left=$(mounts_below | grep "^$storage" || true)
  [[ -z $left ]] || fail "$1: still mounted: $left"
  left=$(find "$storage" "$storage-run" "$storage-tmp" 2>/dev/null || true)
  [[ -z $left ]] || fail "$1: left behind: $left"
}
