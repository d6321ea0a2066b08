#!/usr/bin/env bash
# timeout: 600
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

# Containers in user namespaces of their own: podman gives veneerfs the mapping (uidmapping=), or, for
# a single user, the owner that everything is to have (squash_to_uid=).
upper_of() { tool podman user inspect -f '{{.GraphDriver.Data.UpperDir}}' "$1"; }
# shellcheck disable=SC2016  # expanded in the container
quietly tool podman user run --name mapped "${RUN[@]}" --uidmap 0:1:1000 --gidmap 0:1:1000 veneer/small \
  sh -exc 'touch /x
    chown 5:6 /x
    mv /etc /etc2
    mkdir /etc
    [ "$(stat -c %u:%g / /bin /etc /etc2/passwd /x | tr "\n" " ")" = "0:0 0:0 0:0 0:0 5:6 " ]
    ! chown 2000 /x'
expect_eq "owner on disk" "1000004:1000005" "$(stat -c %u:%g "$(upper_of mapped)/x")"
quietly tool podman user commit mapped e2e/mapped
expect_eq "owners in the image" "5:6 0:0 0:0" \
  "$(tool podman user run --rm "${RUN[@]}" e2e/mapped stat -c %u:%g /x /etc /etc2/passwd | xargs)"
# shellcheck disable=SC2016  # expanded in the container
quietly tool podman user run --name single "${RUN[@]}" --uidmap 0:7:1 --gidmap 0:8:1 veneer/small \
  sh -exc 'touch /x /bin/x; [ "$(stat -c %u:%g / /bin /etc/passwd /x | uniq)" = 0:0 ]'
expect_eq "owner on disk, squashed" "1000006:1000007" "$(stat -c %u:%g "$(upper_of single)/x")"
quietly tool podman user rm -a
podman_reset user
