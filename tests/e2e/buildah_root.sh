#!/usr/bin/env bash
# timeout: 600
# buildah as root with veneerfs as its mount_program: pull, a Dockerfile with RUN, COPY and chown, changes by
# mount and in containers, commit, push and removal give what plain directories give.
# shellcheck source=private_machine_lib.sh
source "$(dirname "$0")/private_machine_lib.sh"
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
# shellcheck source=mount_program_lib.sh
source "$(dirname "$0")/mount_program_lib.sh"
# shellcheck source=buildah_lib.sh
source "$(dirname "$0")/buildah_lib.sh"
need buildah

make_private_machine
make_tools plain kernel root
make_context "$WORK/context"
install -m 644 "$(small_image)" "$WORK/small.tar"

buildah_story plain "$WORK/small.tar"
buildah_story root "$WORK/small.tar"
expect_same "the committed tree" <(without_times "$WORK/out-plain/tree") \
  <(without_times "$WORK/out-root/tree")
# What was pushed is the same elsewhere.
quietly tool buildah kernel pull "oci-archive:$WORK/out-root/changed.tar"
buildah_tree kernel e2e/changed >"$WORK/loaded"
expect_same "the pushed tree" "$WORK/out-root/tree" "$WORK/loaded"
buildah_reset root
