#!/usr/bin/env bash
# A real image of more than ten layers, built by buildah on Debian, with deletions, replaced directories, hard links and
# capabilities: mounted read-only by Veneer it is, name by name, what podman mounts.
# timeout: 600
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

need buildah podman setcap

# Each line is one layer.
layers=(
  'echo one > etc/one; ln etc/one etc/one-link'
  'rm -r usr/share/doc; mkdir usr/share/doc; echo new > usr/share/doc/README'
  'rm etc/issue; rm -r var/log; ln -s /tmp var/log'
  'cp bin/cat usr/local/bin/raw; setcap cap_net_raw+ep usr/local/bin/raw; chmod 4755 usr/local/bin/raw'
  'mkdir -p opt/a/b/c; echo deep > opt/a/b/c/file; mknod opt/null c 1 3; mkfifo opt/fifo'
  'rm -r opt/a/b; echo was a directory > opt/a/b; chown -R 1000:1000 opt'
  'ln opt/a/b opt/second-name; ln etc/one opt/one-again; setfattr -n user.note -v text opt/a/b'
  'chmod 700 usr/local; touch -d "2001-02-03 04:05:06.789" usr/local/bin/raw'
  'echo changed >> etc/passwd; truncate -s 3M var/holes; echo end >> var/holes'
  'rm etc/one; mkdir etc/one; echo a directory now > etc/one/file'
  'rm -r usr/share/locale; mv usr/share/misc usr/share/misc-moved'
  'setfacl -m u:1234:rw etc/passwd; chown 3000000:3000000 var/holes'
)

build() {
  local container root layer image=$1
  quietly podman_in peers load -i "$(debian_image)"
  from=veneer/base
  for layer in "${layers[@]}"; do
    container=$(buildah_in peers from "$from")
    root=$(buildah_in peers mount "$container")
    (enter "$root" && eval "$layer")
    quietly buildah_in peers umount "$container"
    from=$(buildah_in peers commit --quiet --rm "$container")
  done
  buildah_in peers tag "$from" "$image"
}

build e2e/layers
quietly podman_in peers save -o "$WORK/layers.tar" e2e/layers
quietly veneer load -i "$WORK/layers.tar"
count=$(veneer inspect -f '{{len .RootFS.Layers}}' localhost/e2e/layers)
((count == ${#layers[@]} + 1)) || fail "the image has $count layers"

mkdir "$WORK/mnt"
veneer mount --read-only localhost/e2e/layers "$WORK/mnt"
theirs=$(podman_in peers image mount e2e/layers)
tree_listing.py "$theirs" --below >"$WORK/theirs"
tree_listing.py "$WORK/mnt" --below --nlink >"$WORK/ours"
expect_same "the tree as mounted" "$WORK/theirs" "$WORK/ours"
echo "$(wc -l <"$WORK/ours") names of $count layers are the same"

# Read-only means it.
if touch "$WORK/mnt/new" 2>/dev/null; then fail "a read-only mount let a file be made"; fi
tree_listing.py "$WORK/mnt" --below >"$WORK/again"
expect_same "the tree read a second time" "$WORK/ours" "$WORK/again"
veneer umount "$WORK/mnt"
quietly podman_in peers image umount e2e/layers
expect_sound
