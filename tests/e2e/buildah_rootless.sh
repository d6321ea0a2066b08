#!/usr/bin/env bash
# timeout: 600
# buildah as an ordinary user with veneerfs as its mount_program: the whole way gives what plain
# directories give to root.
# shellcheck source=private_machine_lib.sh
source "$(dirname "$0")/private_machine_lib.sh"
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
# shellcheck source=mount_program_lib.sh
source "$(dirname "$0")/mount_program_lib.sh"
# shellcheck source=buildah_lib.sh
source "$(dirname "$0")/buildah_lib.sh"
need buildah newuidmap

make_private_machine
make_tools plain kernel user
make_context "$WORK/context"
install -m 644 "$(small_image)" "$WORK/small.tar"

buildah_story plain "$WORK/small.tar"
buildah_story user "$WORK/small.tar"
expect_same "the committed tree" <(without_times "$WORK/out-plain/tree") \
  <(without_times "$WORK/out-user/tree")
# What was pushed is the same elsewhere.
quietly tool buildah kernel pull "oci-archive:$WORK/out-user/changed.tar"
buildah_tree kernel e2e/changed >"$WORK/loaded"
expect_same "the pushed tree" "$WORK/out-user/tree" "$WORK/loaded"
buildah_reset user
