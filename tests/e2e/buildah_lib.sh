# buildah's story, from an archive to the last removal, in one of the ways of mount_program_lib.sh.
# shellcheck shell=bash

# buildah_tree WAY IMAGE: as a container of it is mounted.
buildah_tree() {
  # shellcheck disable=SC2016  # expanded inside
  within buildah "$1" '
    container=$($tool from "$1")
    tree_listing.py "$($tool mount "$container")" --below
    $tool rm "$container" >/dev/null' "$2"
}

# buildah_story WAY ARCHIVE: leaves changed.tar and tree in $WORK/out-WAY.
buildah_story() {
  local way=$1 archive=$2 out=$WORK/out-$1 container
  install -d -m 777 "$out"
  quietly tool buildah "$way" pull "docker-archive:$archive"
  quietly tool buildah "$way" bud --isolation chroot --layers -t e2e/built "$WORK/context"

  # By the tool's own instructions, by a mount, and by commands in the container.
  container=$(tool buildah "$way" from e2e/built)
  quietly tool buildah "$way" copy --chown 20:21 "$container" "$WORK/context/tree/dir" /data/copied
  # shellcheck disable=SC2016  # expanded inside
  quietly within buildah "$way" '
    root=$($tool mount "$1")
    cd "$root/data"
    echo mounted >by-mount
    setfattr -n user.note -v kept by-mount
    mv new/inner new/renamed
    mv new/renamed new/inner
    cd /
    $tool umount "$1"' "$container"
  quietly tool buildah "$way" run --isolation chroot "$container" sh -c "$CHANGES"
  quietly tool buildah "$way" run --isolation chroot "$container" sh -c "$CHECKS"
  quietly tool buildah "$way" config --label made.by=buildah "$container"
  quietly tool buildah "$way" commit --rm "$container" e2e/changed
  container=$(tool buildah "$way" from e2e/changed)
  quietly tool buildah "$way" run --isolation chroot "$container" sh -c "$CHECKS"
  quietly tool buildah "$way" rm "$container"
  quietly tool buildah "$way" push e2e/changed "oci-archive:$out/changed.tar:e2e/changed"
  buildah_tree "$way" e2e/changed >"$out/tree"
}

# buildah_reset WAY: nothing is left but the storage's own records.
buildah_reset() {
  quietly tool buildah "$1" rm -a
  quietly tool buildah "$1" rmi -a -f
  wait_for 10 no_daemon_left || fail "$1: a veneerfs is still there"
  local left
  left=$(mounts_below | grep "^$(storage_of "$1")" || true)
  [[ -z $left ]] || fail "$1: still mounted: $left"
  left=$(find "$(storage_of "$1")/overlay" -mindepth 1 -maxdepth 1 -type d ! -name l)
  [[ -z $left ]] || fail "$1: layers left behind: $left"
}
