#!/usr/bin/env bash
# A package installed by apt in a chroot on a mount, committed and saved: docker and podman load it, the program runs there,
# and the tree is the same.
# timeout: 900
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

need docker podman

quietly veneer load -i "$(debian_image)"
veneer create --name box veneer/base >/dev/null
root=$(veneer mount box)
[[ $root == "$WORK"/* ]] || fail "the container is mounted at '$root'"

# The chroot's apt uses the mirror, keys and names that this machine's does; nothing of them stays in the image.
mkdir -p "$WORK/apt"
cp -a /etc/apt/. "$WORK/apt/"
bind() {
  mount --bind "$1" "$root/$2"
}
bind /proc proc
bind /dev dev
bind "$WORK/apt" etc/apt
bind /usr/share/keyrings usr/share/keyrings
[[ -e $root/etc/resolv.conf ]] || : >"$root/etc/resolv.conf"
bind "$(realpath /etc/resolv.conf)" etc/resolv.conf
in_box() {
  chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive TMPDIR=/tmp "$@"
}
quietly in_box apt-get update
quietly in_box apt-get install -y --no-install-recommends jq
in_box sh -c 'rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin'
[[ $(echo '{"a": [1, 2]}' | in_box jq -c .a) == '[1,2]' ]] || fail "the installed program does not run in the chroot"
umount "$root"/{etc/resolv.conf,usr/share/keyrings,etc/apt,dev,proc}

veneer diff box >"$WORK/diff"
grep -qx 'A /usr/bin/jq' "$WORK/diff" || fail "diff does not list /usr/bin/jq"
grep -qx 'C /var/lib/dpkg/status' "$WORK/diff" || fail "diff does not list dpkg's status"

# Committed while mounted, and again after: one and the same layer.
veneer commit -m 'Install jq' -c 'CMD ["jq", "--version"]' box e2e/jq >/dev/null
mounted=$(image_facts e2e/jq | tail -n 1)
tree_listing.py "$root" --nlink >"$WORK/container"
veneer umount box >/dev/null
veneer commit box e2e/again >/dev/null
expect_eq "the layer of a second commit" "$mounted" "$(image_facts e2e/again | tail -n 1)"

mkdir "$WORK/mnt"
veneer mount --read-only e2e/jq "$WORK/mnt"
tree_listing.py "$WORK/mnt" --nlink >"$WORK/image"
expect_same "the committed image's tree" "$WORK/container" "$WORK/image"
veneer umount "$WORK/mnt"

veneer save -o "$WORK/jq.tar" e2e/jq
quietly podman_in peers load -i "$WORK/jq.tar"
theirs=$(podman_in peers image mount docker.io/e2e/jq)
tree_listing.py "$theirs" --below >"$WORK/podman"
expect_same "the tree that podman mounts" <(tail -n +2 "$WORK/image") "$WORK/podman"
quietly podman_in peers image umount docker.io/e2e/jq
said=$(podman_in peers run --rm --network host --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 docker.io/e2e/jq)
[[ $said == jq-* ]] || fail "under podman the program says '$said'"

start_docker
quietly docker load -i "$WORK/jq.tar"
expect_eq "the image ID in docker" "$(image_facts e2e/jq | head -n 1)" "$(docker inspect -f '{{.Id}}' e2e/jq)"
said=$(docker run --rm --network none e2e/jq)
[[ $said == jq-* ]] || fail "under docker the program says '$said'"
# What docker gives a container of its own stays out of the comparison; the rest must be there.
docker create --name listed --network none e2e/jq >/dev/null
docker export listed | tar -t >"$WORK/docker.list"
grep -qx usr/bin/jq "$WORK/docker.list" || fail "docker's tree has no usr/bin/jq"
docker rm listed >/dev/null
expect_sound
