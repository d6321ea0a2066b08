#!/usr/bin/env bash
# timeout: 600
# podman as an ordinary user with force_mask: it unpacks layers, and asks veneerfs (xattr_permissions=2)
# to keep files, with owners and modes in an attribute. The way gives what plain directories give.
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
make_tools plain kernel masked
make_context "$WORK/context"
without_fifos
install -m 644 "$(small_image)" "$WORK/small.tar"

podman_story plain "$WORK/small.tar"
podman_story masked "$WORK/small.tar"
expect_same "podman diff" "$WORK/out-plain/diff" "$WORK/out-masked/diff"
# What containers/storage itself loses when it unpacks this way: owners of symlinks, sticky bits.
expect_same "the committed tree" \
  <(without_times "$WORK/out-plain/tree" | sed -e 's/^\(.*data.s l[^ ]*\) 11:12 /\1 0:0 /' -e 's/rwt /rwx /') \
  <(without_times "$WORK/out-masked/tree")
quietly tool podman kernel load -i "$WORK/out-masked/changed.tar"
podman_tree kernel e2e/changed >"$WORK/loaded"
# What it saves has them all.
expect_same "the saved tree" <(without_times "$WORK/out-plain/tree") <(without_times "$WORK/loaded")
podman_reset masked
