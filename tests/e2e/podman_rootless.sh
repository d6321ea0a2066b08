#!/usr/bin/env bash
# timeout: 300
# podman as an ordinary user with veneerfs as its mount_program, inside the user namespace that podman
# makes: the whole way from an archive to a reset gives what plain directories give to root, and
# leaves nothing behind.
# shellcheck source=private_machine_lib.sh
source "$(dirname "$0")/private_machine_lib.sh"
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
# shellcheck source=mount_program_lib.sh
source "$(dirname "$0")/mount_program_lib.sh"
# shellcheck source=podman_lib.sh
source "$(dirname "$0")/podman_lib.sh"
need podman runc newuidmap

make_private_machine
make_tools plain kernel user
make_context "$WORK/context"
install -m 644 "$(small_image)" "$WORK/small.tar"

podman_story plain "$WORK/small.tar"
podman_story user "$WORK/small.tar"
expect_same "podman diff" "$WORK/out-plain/diff" "$WORK/out-user/diff"
expect_same "the committed tree" <(without_times "$WORK/out-plain/tree") \
  <(without_times "$WORK/out-user/tree")
quietly tool podman kernel load -i "$WORK/out-user/changed.tar"
podman_tree kernel e2e/changed >"$WORK/loaded"
expect_same "the saved tree" "$WORK/out-user/tree" "$WORK/loaded"
podman_reset user
