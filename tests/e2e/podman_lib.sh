# podman's story, from an archive to a reset, in one of the ways of mount_program_lib.sh.
# shellcheck shell=bash

# What a container gets that may have no limits and groups of its own.
readonly RUN=(--network host --ulimit nofile=1024:1024 --ulimit nproc=1024:1024)

# podman_tree WAY IMAGE: as it is mounted.
podman_tree() {
  # shellcheck disable=SC2016  # expanded inside
  within podman "$1" '
    tree_listing.py "$($tool image mount "$1")" --below
    $tool image umount "$1" >/dev/null' "$2"
}

# podman_story WAY ARCHIVE: leaves changed.tar, diff and tree in $WORK/out-WAY.
podman_story() {
  local way=$1 archive=$2 out=$WORK/out-$1 container
  install -d -m 777 "$out"
  quietly tool podman "$way" pull "docker-archive:$archive"
  expect_eq "$way: run" "hello from $way" \
    "$(tool podman "$way" run --rm "${RUN[@]}" veneer/small echo "hello from $way")"
  quietly tool podman "$way" build --isolation chroot --layers -t e2e/built "$WORK/context"

  container=$(tool podman "$way" run -d "${RUN[@]}" e2e/built sh -c 'while :; do sleep 0.1; done')
  quietly tool podman "$way" exec "$container" sh -c "$CHANGES"
  quietly tool podman "$way" exec "$container" sh -c "$CHECKS"
  # Mounted anew, it is the same.
  quietly tool podman "$way" stop -t 0 "$container"
  quietly tool podman "$way" start "$container"
  quietly tool podman "$way" exec "$container" sh -c "$CHECKS"
  expect_moved "$way" "$(tool podman "$way" inspect -f '{{.GraphDriver.Data.UpperDir}}' "$container")"
  tool podman "$way" diff "$container" | LC_ALL=C sort >"$out/diff"
  quietly tool podman "$way" commit "$container" e2e/changed
  quietly tool podman "$way" rm -f -t 0 "$container"
  quietly tool podman "$way" run --rm "${RUN[@]}" e2e/changed sh -c "$CHECKS"
  quietly tool podman "$way" save -o "$out/changed.tar" e2e/changed
  podman_tree "$way" e2e/changed >"$out/tree"
}

# podman_reset WAY: of images, a running container and one that is mounted, nothing is left.
podman_reset() {
  quietly tool podman "$1" run -d "${RUN[@]}" e2e/changed sh -c 'while :; do sleep 0.1; done'
  # shellcheck disable=SC2016  # expanded inside
  quietly within podman "$1" '$tool mount "$($tool create e2e/built)"'
  quietly tool podman "$1" system reset -f
  nothing_left "$1"
  wait_for 10 no_group_left || true # of another test, perhaps
}
