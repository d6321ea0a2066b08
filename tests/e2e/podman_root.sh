#!/usr/bin/env bash
# timeout: 600
# podman as root with veneerfs as its mount_program: pull, run, build, exec, diff, commit, save and
# reset give what plain directories give, and leave nothing behind; with volatile, too.
# shellcheck source=private_machine_lib.sh
source "$(dirname "$0")/private_machine_lib.sh"
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
# shellcheck source=mount_program_lib.sh
source "$(dirname "$0")/mount_program_lib.sh"
# shellcheck source=podman_lib.sh
source "$(dirname "$0")/podman_lib.sh"
need podman runc

make_private_machine
make_tools plain kernel root volatile
make_context "$WORK/context"
archive=$(small_image)

podman_story plain "$archive"
for way in root volatile; do
  podman_story "$way" "$archive"
  expect_same "$way: podman diff" "$WORK/out-plain/diff" "$WORK/out-$way/diff"
  expect_same "$way: the committed tree" <(without_times "$WORK/out-plain/tree") \
    <(without_times "$WORK/out-$way/tree")
  # What was saved is the same elsewhere.
  quietly tool podman kernel load -i "$WORK/out-$way/changed.tar"
  podman_tree kernel e2e/changed >"$WORK/loaded"
  quietly tool podman kernel rmi -a -f
  expect_same "$way: the saved tree" "$WORK/out-$way/tree" "$WORK/loaded"
  podman_reset "$way"
done
