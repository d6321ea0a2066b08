#!/usr/bin/env bash
# timeout: 300
# What `veneer save` writes is read by docker, podman, skopeo, umoci and containerd: the same image ID and
# config, and, unpacked by them, the tree that podman makes of the original.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
need podman skopeo umoci jq

originals=$(peer_images)
start_docker
start_containerd

# same_tree WHAT ROOT [symlinks-bare]: podman's of the original, but for the root's own attributes, and
# for the symlinks' xattrs, which containerd does not unpack.
same_tree() {
  tree_listing.py "$2" --below >"$WORK/got.tree"
  if [[ ${3-} == symlinks-bare ]]; then
    sed 's/trusted[.]link=[0-9a-f]*/-/' "$WORK/wanted.tree" >"$WORK/bare.tree"
    expect_same "$1" "$WORK/bare.tree" "$WORK/got.tree"
  else
    expect_same "$1" "$WORK/wanted.tree" "$WORK/got.tree"
  fi
}

# podman_tree STORE SOURCE: pulls it, and prints where it is mounted and its ID.
podman_tree() {
  local id
  id=$(podman_in "$1" pull -q "$2")
  echo "$(podman_in "$1" image mount "$id") sha256:$id"
}

for original in pax.tar:docker-archive docker.tar:docker-archive podman.tar:docker-archive \
  buildah.tar:oci-archive umoci:oci; do
  transport=${original#*:}
  original=${original%:*}
  source=$transport:$originals/$original
  if [[ $transport == oci ]]; then
    # Out of a layout podman would make a name of the folder's.
    quietly skopeo copy "$source:latest" "oci-archive:$WORK/archive.tar"
    source=oci-archive:$WORK/archive.tar
  fi

  rm -rf "$VENEER_ROOT" "$WORK/image" "$WORK/saved"
  image_archive.py extract "$originals/$original" "$WORK/image"
  read -r theirs id < <(podman_tree theirs "$source")
  tree_listing.py "$theirs" --below >"$WORK/wanted.tree"

  quietly veneer load -i "$originals/$original"
  # The name tells it from the original, and from the others.
  quietly veneer tag "$id" e2e/saved:1
  mkdir "$WORK/saved"
  quietly veneer save -o "$WORK/saved/docker.tar" e2e/saved:1
  quietly veneer save --format oci -o "$WORK/saved/oci.tar" e2e/saved:1
  mkdir "$WORK/saved/layout"
  quietly veneer save --format oci -o "$WORK/saved/layout" e2e/saved:1

  # skopeo
  for archive in "docker-archive:$WORK/saved/docker.tar" "oci-archive:$WORK/saved/oci.tar" "oci:$WORK/saved/layout"; do
    skopeo inspect --config --raw "$archive" >"$WORK/config.json"
    expect_same "the config of $original as ${archive%%:*}, read by skopeo" "$WORK/image/config.json" "$WORK/config.json"
    expect_eq "the layers of $original as ${archive%%:*}, read by skopeo" \
      "$(jq -r '.rootfs.diff_ids[]' "$WORK/config.json")" "$(skopeo inspect "$archive" | jq -r '.Layers[]')"
  done

  # podman, which names it by what the archive says
  quietly podman_in ours load -i "$WORK/saved/docker.tar"
  expect_eq "the ID of $original, loaded by podman" "$id" "sha256:$(podman_in ours inspect -t image -f '{{.Id}}' docker.io/e2e/saved:1)"
  same_tree "the tree of $original, loaded by podman" "$(podman_in ours image mount docker.io/e2e/saved:1)"
  quietly podman_in ours image umount -a
  quietly podman_in ours rmi -a -f
  read -r root oci_id < <(podman_tree ours "oci-archive:$WORK/saved/oci.tar")
  expect_eq "the ID of $original as oci-archive, read by podman" "$id" "$oci_id"
  same_tree "the tree of $original as oci-archive, read by podman" "$root"
  quietly podman_in ours image umount -a
  quietly podman_in ours rmi -a -f

  # docker
  quietly docker load -i "$WORK/saved/docker.tar"
  expect_eq "the ID of $original, loaded by docker" "$id" "$(docker inspect -f '{{.Id}}' e2e/saved:1)"
  if [[ $(docker inspect -f '{{.GraphDriver.Name}}' "$id") == overlay2 ]]; then
    root=$(docker inspect -f '{{.GraphDriver.Data.UpperDir}}' "$id")
    lower=$(docker inspect -f '{{with .GraphDriver.Data.LowerDir}}{{.}}{{end}}' "$id")
    if [[ -n $lower ]]; then
      mkdir -p "$WORK/docker-tree"
      mount -t overlay -o "lowerdir=$root:$lower" none "$WORK/docker-tree"
      root=$WORK/docker-tree
    fi
    same_tree "the tree of $original, loaded by docker" "$root"
    [[ -z $lower ]] || umount "$WORK/docker-tree"
  else
    echo "docker has no overlay2 here: its trees are not compared"
  fi
  quietly docker rmi e2e/saved:1

  # umoci
  quietly umoci unpack --image "$WORK/saved/layout:1" "$WORK/saved/bundle"
  same_tree "the tree of $original, unpacked by umoci" "$WORK/saved/bundle/rootfs"

  # containerd
  for archive in docker.tar oci.tar; do
    quietly ctr_e2e image import "$WORK/saved/$archive"
    ctr_e2e content get "$id" >"$WORK/config.json"
    expect_same "the config of $original as $archive, imported by containerd" "$WORK/image/config.json" "$WORK/config.json"
    mkdir "$WORK/saved/mnt"
    quietly ctr_e2e image mount docker.io/e2e/saved:1 "$WORK/saved/mnt"
    same_tree "the tree of $original as $archive, imported by containerd" "$WORK/saved/mnt" symlinks-bare
    quietly ctr_e2e image unmount --rm "$WORK/saved/mnt"
    quietly ctr_e2e image rm --sync docker.io/e2e/saved:1
    rm -rf "$WORK/saved/mnt"
  done
  quietly podman_in theirs image umount -a
  quietly podman_in theirs rmi -a -f
done
