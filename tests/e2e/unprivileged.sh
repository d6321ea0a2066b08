#!/usr/bin/env bash
# timeout: 300
# veneerfs where it has no privileges: as root of a user namespace (unshare -Urm), by fusermount3, and
# with owners in an attribute. The forms the kernel allows are found without being told, inode numbers
# are kept over copy-up and remount, and hard links stay links.
# shellcheck source=private_machine_lib.sh
source "$(dirname "$0")/private_machine_lib.sh"
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
need fusermount3 getfattr

make_private_machine
home=$WORK/user

# make_layers FOLDER: lower, upper, work and mnt of the user's.
make_layers() {
  # shellcheck disable=SC2016  # expanded by the other shell
  as_user bash -ec '
    mkdir -p "$1"/{lower/{dir/sub,gone},upper,work,mnt}
    cd "$1/lower"
    echo content >file
    echo linked >h1
    ln h1 dir/h2
    ln -s file symlink
    ln symlink dir/symlink2
    mkfifo fifo
    echo x >gone/x
    echo deep >dir/sub/deep
    setfattr -n user.note -v kept file
    python3 -c "import socket; socket.socket(socket.AF_UNIX).bind(\"sock\")"' make "$1"
}

# A story with the shell: every change, then a look, then a remount and the same look.
cat >"$home/story" <<'END'
set -ex
layers=$1
options=$2
unmount=$3
cd "$layers/mnt"
mounted() {
  veneerfs -o "lowerdir=$layers/lower,upperdir=$layers/upper,workdir=$layers/work$options" "$layers/mnt"
  cd "$layers/mnt"
}
unmounted() {
  cd /
  # shellcheck disable=SC2086
  $unmount "$layers/mnt"
  while [ -e "$layers/work/lock" ]; do sleep 0.05; done
}
look() {
  [ "$(cat file)" = "content
more" ]
  [ "$(getfattr --only-values -n user.note file)" = kept ]
  [ "$(cat dir2/h2)" = "linked
both" ]
  [ h1 -ef dir2/h2 ] && [ "$(stat -c %h h1)" = 2 ]
  [ ! -e gone ] && [ ! -e dir ]
  [ "$(cat dir2/sub/deep)" = deep ]
  [ -p fifo ] && [ -S sock ] && [ "$(readlink symlink)" = file ]
  [ "$(stat -c %a fifo)" = 600 ]
  [ "$(ls)" = "$(printf "dir2\nfifo\nfile\nh1\nnew\nsock\nsymlink")" ]
}
# Numbers, by their names before the rename.
numbers() { stat -c '%i %n' "$1" "$1/sub" "$1/h2" "$1/symlink2" file h1 symlink fifo sock | sed "s,$1,dir,"; }

mounted
numbers dir >"$layers/numbers"
echo more >>file
echo both >>h1
chmod 600 fifo
touch -h -d @1 symlink sock
mv dir dir2
rm -r gone
mkdir new
look
numbers dir2 | diff "$layers/numbers" -
if listed=$(getfattr -d -m - file 2>/dev/null | grep trusted); then echo "shown: $listed"; exit 1; fi
unmounted
mounted
look
numbers dir2 | diff "$layers/numbers" -
rm fifo sock symlink h1 # with their stand-ins
mv dir2/symlink2 dir2/s
unmounted
END
chmod 644 "$home/story"
program=(env "PATH=$WORK/bin:$PATH")

# What is left behind says what the upper is.
expect_form() {
  getfattr -h -n user.overlay.redirect --absolute-names --only-values "$1/upper/dir2" | grep -qx /dir ||
    fail "$1: the directory has no redirect in user.overlay"
  [[ $(find "$1/work/work" "$1/work/lock" 2>/dev/null) == "$1/work/work" ]] || fail "$1: work is not tidy"
  # One file is left that takes no attributes itself: the symlink.
  [[ $(find "$1/work/standins" -type f | wc -l) == 1 ]] || fail "$1: stand-ins: $(ls "$1/work/standins")"
}

# By the user alone: fusermount3 mounts.
make_layers "$home/alone"
quietly as_user "${program[@]}" bash "$home/story" "$home/alone" "" "fusermount3 -u"
expect_form "$home/alone"
echo "an ordinary user: good"

# As root of a user namespace of one user, and of one with all the subordinate users.
make_layers "$home/single"
quietly as_user "${program[@]}" unshare -Urm bash "$home/story" "$home/single" "" umount
expect_form "$home/single"
[[ -c $home/single/upper/gone ]] || fail "the whiteout is no device, which the kernel allows"
make_layers "$home/many"
# shellcheck disable=SC2016  # expanded by the other shell
quietly as_user "${program[@]}" unshare -rm --map-users=1000000,1,65535 --map-groups=1000000,1,65535 \
  bash -ec 'chown 5:6 "$1/lower/file"; bash "$2" "$1" "" umount; [ "$(stat -c %u:%g "$1/upper/file")" = 5:6 ]' \
  many "$home/many" "$home/story"
echo "a user namespace: good"

# Owners in an attribute.
make_layers "$home/owners"
quietly as_user "${program[@]}" unshare -Urm bash "$home/story" "$home/owners" ",xattr_permissions=2" umount
# shellcheck disable=SC2016  # expanded by the other shell
quietly as_user "${program[@]}" unshare -Urm bash -exc '
  veneerfs -o "lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work,xattr_permissions=2" "$1/mnt"
  cd "$1/mnt"
  touch owned
  mkfifo pipe
  chmod 4755 owned
  [ -p pipe ]
  [ "$(stat -c %a owned)" = 4755 ]
  cd /
  umount "$1/mnt"' owners "$home/owners"
[[ $(getfattr -n user.containers.override_stat --absolute-names --only-values "$home/owners/upper/pipe") == 0:0:0644:pipe ]] ||
  fail "the FIFO is not in the attribute"
[[ -f $home/owners/upper/pipe && ! -u $home/owners/upper/owned ]] || fail "the host has what the attribute has"
echo "owners in an attribute: good"

# What the host has no identifiers for cannot be copied up, unless it does not matter.
make_layers "$home/foreign"
chown 3000000:3000000 "$home/foreign/lower/file"
# shellcheck disable=SC2016  # expanded by the other shell
quietly as_user "${program[@]}" unshare -Urm bash -exc '
  mounted() { veneerfs -o "lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work$2" "$1/mnt"; }
  ended() { umount "$1/mnt"; while [ -e "$1/work/lock" ]; do sleep 0.05; done; }
  mounted "$1" ""
  [ "$(stat -c %u "$1/mnt/file")" = 65534 ]
  if touch -d @1 "$1/mnt/file" 2>/dev/null; then exit 1; fi
  ended "$1"
  mounted "$1" ,squash_to_root
  [ "$(stat -c %u "$1/mnt/file")" = 0 ]
  echo more >>"$1/mnt/file"
  [ "$(stat -c %u "$1/upper/file")" = 0 ]
  ended "$1"' foreign "$home/foreign"
echo "identifiers the host does not have: good"

# A copy-up of what takes no attributes is all or nothing when the daemon is killed in it, and the
# number stays.
make_layers "$home/killed"
# shellcheck disable=SC2016  # expanded by the other shell
quietly as_user "${program[@]}" unshare -Urm bash -exc '
  mounted() { veneerfs -o "lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work" "$1/mnt"; }
  mounted "$1"
  before=$(stat -c %i "$1/mnt/symlink" "$1/mnt/fifo")
  umount "$1/mnt"
  for point in copy_up.before_rename copy_up.after_rename stand_in.before_rename; do
    for name in symlink fifo; do
      while [ -e "$1/work/lock" ]; do sleep 0.05; done
      VENEER_FAULTS=$point=kill mounted "$1"
      touch -h -d @1 "$1/mnt/$name" || true
      umount -l "$1/mnt"
      mounted "$1"
      [ "$(stat -c %i "$1/mnt/symlink" "$1/mnt/fifo")" = "$before" ]
      touch -h -d @1 "$1/mnt/$name"
      umount "$1/mnt"
      while [ -e "$1/work/lock" ]; do sleep 0.05; done
      mounted "$1"
      [ "$(stat -c %i "$1/mnt/symlink" "$1/mnt/fifo")" = "$before" ]
      umount "$1/mnt"
      rm -f "$1/upper/$name"
    done
  done' killed "$home/killed"
echo "killed while copying up: good"
