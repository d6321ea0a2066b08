# A machine to itself for a test that starts containers: mounts, processes and /run of its own, a
# /dev/fuse that everybody may open, and a user "veneer-test" with subordinate identifiers. It is
# gone, with every process in it, when the test ends; the host never sees any of it. Source this
# first: the script starts again in there.
# shellcheck shell=bash
if [[ ${VENEER_PRIVATE_MACHINE:-} != yes ]]; then
  VENEER_PRIVATE_MACHINE=yes exec unshare --mount --pid --fork --kill-child --mount-proc \
    --propagation private bash "$0" "$@"
fi
unset VENEER_PRIVATE_MACHINE

# make_private_machine: once lib.sh has made $WORK.
make_private_machine() {
  local file machine=$WORK/machine
  mkdir "$machine"
  mknod -m 666 "$machine/fuse" c 10 229
  cp /etc/{passwd,group,subuid,subgid} "$machine"
  echo "veneer-test:x:4242:4242::$WORK/user:/bin/sh" >>"$machine/passwd"
  echo "veneer-test:x:4242:" >>"$machine/group"
  echo "veneer-test:1000000:65536" | tee -a "$machine/subuid" >>"$machine/subgid"
  mount -t tmpfs tmpfs /run
  mount --bind "$machine/fuse" /dev/fuse
  for file in passwd group subuid subgid; do mount --bind "$machine/$file" "/etc/$file"; done
  # The user reaches what is meant for it, and reads the programs, wherever they were built.
  chmod 755 "$WORK"
  install -m 755 -D -t "$WORK/bin" "$VENEER_BIN/veneerfs" "$VENEER_SOURCE/tests/e2e/tree_listing.py"
  install -m 700 -o 4242 -g 4242 -d "$WORK/user" "$WORK/user/run" "$WORK/user/tmp"
}

# as_user COMMAND...: as veneer-test, with nothing of the test's environment.
as_user() {
  setpriv --reuid 4242 --regid 4242 --clear-groups env -i --chdir "$WORK/user" "PATH=$WORK/bin:$PATH" HOME="$WORK/user" \
    XDG_RUNTIME_DIR="$WORK/user/run" TMPDIR="$WORK/user/tmp" USER=veneer-test "$@"
}

# no_daemon_left: every veneerfs in here has ended.
no_daemon_left() {
  local process
  for process in /proc/[0-9]*; do
    if [[ $(cat "$process/comm" 2>/dev/null) == veneerfs ]]; then return 1; fi
  done
}

# Control groups are the one thing that is shared with the host, and podman leaves its own behind.
parent_groups() { find /sys/fs/cgroup -maxdepth 3 -type d -name libpod_parent 2>/dev/null || true; }
groups_before=$(parent_groups)
readonly groups_before
# no_group_left: removes them, unless others had them before; false while a process is in one.
no_group_left() {
  [[ -z $groups_before ]] || return 0
  parent_groups | while read -r group; do find "$group" -depth -type d -exec rmdir {} +; done
  [[ -z $(parent_groups) ]]
}
