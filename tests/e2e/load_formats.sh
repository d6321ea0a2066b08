#!/usr/bin/env bash
# timeout: 240
# One image in every form that docker, podman, buildah, skopeo and umoci give it, loaded: the image ID
# and the DiffIDs are the peer's own, and so are the names.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
need podman buildah skopeo umoci jq zstd gzip xz bzip2

# The image: busybox; a change to it; and that change again, so that one layer is in it twice.
image_archive.py extract "$(small_image)" "$WORK/base"
mkdir -p "$WORK/change/etc"
echo changed >"$WORK/change/etc/issue"
: >"$WORK/change/etc/.wh.mtab"
tar -C "$WORK/change" --mtime=@$EPOCH --owner=0 --group=0 -cf "$WORK/change.tar" etc
layers=("$WORK/base/1.tar" "$WORK/change.tar" "$WORK/change.tar")
image_archive.py docker "$WORK/original.tar" e2e/formats:1 "${layers[@]}"
diff_ids=$(sha256sum "${layers[@]}" | sed 's/^/sha256:/; s/ .*//')

# loads WHAT ID NAMES [COMMAND...]: `veneer load`, or COMMAND, says NAMES, and there is the image with
# ID and the DiffIDs of the layers. NAMES is empty where the archive has none.
loads() {
  local what=$1 id=$2 names=$3 said wanted name
  shift 3
  rm -rf "$VENEER_ROOT"
  said=$("$@" 2>&1) || fail "$what does not load: $said"
  wanted=$(for name in $names; do echo "Loaded image: $name"; done)
  expect_eq "what is said on loading $what" "${wanted:-Loaded image ID: $id}" "$said"
  expect_eq "the image of $what" "$id"$'\n'"$diff_ids" "$(image_facts "$id")"
  for name in $names; do
    expect_eq "image $name of $what" "$id" "$(image_facts "$name" | head -n 1)"
  done
}
loads_file() { loads "$1" "$2" "$3" veneer load -i "$WORK/$1"; }

# The image ID a manifest gives, as skopeo reads it.
skopeo_id() { skopeo inspect --raw "$1" | jq -r .config.digest; }

# ---- docker --------------------------------------------------------------------------------------
start_docker
quietly docker load -i "$WORK/original.tar"
docker_id=$(docker inspect -f '{{.Id}}' e2e/formats:1)
expect_eq "docker's view of the original" "$diff_ids" \
  "$(docker inspect -f '{{range .RootFS.Layers}}{{println .}}{{end}}' e2e/formats:1 | grep .)"
loads_file original.tar "$docker_id" e2e/formats:1

quietly docker tag e2e/formats:1 e2e/other
quietly docker save -o "$WORK/docker.tar" e2e/formats:1 e2e/other
[[ $(tar -tvf "$WORK/docker.tar") == *"layer.tar -> "* ]] || fail "docker does not link the layer that is there twice"
loads_file docker.tar "$docker_id" "e2e/formats:1 e2e/other:latest"
quietly docker save -o "$WORK/docker-id.tar" "$docker_id"
loads_file docker-id.tar "$docker_id" ""

# Before docker 1.10: no config, and `repositories` alone.
image_archive.py legacy "$WORK/legacy.tar" e2e/legacy:1 "${layers[@]}"
quietly docker load -i "$WORK/legacy.tar"
loads_file legacy.tar "$(docker inspect -f '{{.Id}}' e2e/legacy:1)" e2e/legacy:1

# ---- podman and buildah --------------------------------------------------------------------------
quietly podman_in storage load -i "$WORK/original.tar"
podman_name=localhost/e2e/formats:1
podman_id=sha256:$(podman_in storage inspect -t image -f '{{.Id}}' $podman_name)
quietly podman_in storage save -o "$WORK/podman.tar" $podman_name
loads_file podman.tar "$podman_id" $podman_name
quietly podman_in storage save --format oci-archive -o "$WORK/podman-oci.tar" $podman_name
loads_file podman-oci.tar "$(skopeo_id "oci-archive:$WORK/podman-oci.tar")" $podman_name
quietly podman_in storage save --format oci-dir -o "$WORK/podman-layout" $podman_name
loads_file podman-layout "$(skopeo_id "oci:$WORK/podman-layout")" $podman_name

quietly buildah_in storage push $podman_name "docker-archive:$WORK/buildah.tar:e2e/pushed:2"
# buildah writes the image's own name too.
loads_file buildah.tar "$podman_id" "e2e/pushed:2 $podman_name"
quietly buildah_in storage push $podman_name "oci-archive:$WORK/buildah-oci.tar:e2e/pushed:2"
loads_file buildah-oci.tar "$(skopeo_id "oci-archive:$WORK/buildah-oci.tar")" e2e/pushed:2

# ---- several images in one archive ---------------------------------------------------------------
# loads_two ARCHIVE NAME ID NAME ID
loads_two() {
  local said
  rm -rf "$VENEER_ROOT"
  said=$(veneer load -i "$WORK/$1" 2>&1) || fail "$1 does not load: $said"
  expect_eq "what is said on loading $1" \
    "$(printf 'Loaded image: %s\n' "$2" "$4" | sort)" "$(sort <<<"$said")"
  expect_eq "the first image of $1" "$3"$'\n'"$diff_ids" "$(image_facts "$2")"
  expect_eq "the second image of $1" "$5"$'\n'"${diff_ids%%$'\n'*}" "$(image_facts "$4")"
}
quietly docker load -i "$(small_image)"
small_id=$(docker inspect -f '{{.Id}}' veneer/small)
quietly docker save -o "$WORK/docker-multi.tar" e2e/formats:1 veneer/small
loads_two docker-multi.tar e2e/formats:1 "$docker_id" veneer/small:latest "$small_id"
quietly podman_in storage load -i "$(small_image)"
quietly podman_in storage save -m -o "$WORK/podman-multi.tar" e2e/formats:1 veneer/small
loads_two podman-multi.tar $podman_name "$podman_id" localhost/veneer/small:latest "$small_id"

# ---- skopeo: what it converts to, and how it compresses ------------------------------------------
# skopeo_makes DESTINATION [OPTION...]: it is skopeo's copy of the original, and loads.
skopeo_makes() {
  local to=$1
  shift
  quietly skopeo copy -q "$@" "docker-archive:$WORK/original.tar" "$to"
}
skopeo_makes "docker-archive:$WORK/skopeo.tar:e2e/skopeo:3"
loads_file skopeo.tar "$docker_id" e2e/skopeo:3
skopeo_makes "docker-archive:$WORK/skopeo-v2s2.tar" --format v2s2
loads_file skopeo-v2s2.tar "$docker_id" ""
skopeo_makes "oci-archive:$WORK/skopeo-oci.tar:quay.io/e2e/skopeo:3"
oci_id=$(skopeo_id "oci-archive:$WORK/skopeo-oci.tar")
loads_file skopeo-oci.tar "$oci_id" quay.io/e2e/skopeo:3
skopeo_makes "oci:$WORK/skopeo-layout:e2e/skopeo:3"
loads_file skopeo-layout "$oci_id" e2e/skopeo:3
for compression in gzip zstd; do
  skopeo_makes "oci:$WORK/skopeo-$compression:latest" \
    --dest-compress-format $compression --dest-compress
  [[ $(skopeo inspect --raw "oci:$WORK/skopeo-$compression:latest") == *"tar+$compression"* ]] ||
    fail "skopeo does not compress the layers with $compression"
  # A tag alone names no image.
  loads_file skopeo-$compression "$oci_id" ""
done
# One blob compressed, one not, in an archive made by hand.
tar -C "$WORK/skopeo-zstd" -cf "$WORK/zstd-layers.tar" .
loads_file zstd-layers.tar "$oci_id" ""

# ---- umoci ---------------------------------------------------------------------------------------
cp -r "$WORK/skopeo-layout" "$WORK/umoci"
quietly umoci config --image "$WORK/umoci:e2e/skopeo:3" --tag changed --author umoci
quietly umoci rm --image "$WORK/umoci:e2e/skopeo:3"
quietly umoci gc --layout "$WORK/umoci"
umoci_id=$(skopeo_id "oci:$WORK/umoci:changed")
[[ $umoci_id != "$oci_id" ]] || fail "umoci did not make an image of its own"
loads_file umoci "$umoci_id" ""

# ---- the archive itself compressed, and from a pipe ----------------------------------------------
for compression in gzip zstd xz bzip2; do
  $compression -c <"$WORK/docker.tar" >"$WORK/docker.$compression"
  loads_file docker.$compression "$docker_id" "e2e/formats:1 e2e/other:latest"
done
# shellcheck disable=SC2002  # a pipe is meant
# shellcheck disable=SC2002  # a pipe is meant
from_pipe() { cat "$1" | veneer load; }
loads "docker.tar from a pipe" "$docker_id" "e2e/formats:1 e2e/other:latest" from_pipe "$WORK/docker.tar"
loads "docker.zstd from a pipe" "$docker_id" "e2e/formats:1 e2e/other:latest" from_pipe "$WORK/docker.zstd"
from_stdin() { veneer load <"$1"; }
loads "skopeo-oci.tar from standard input" "$oci_id" quay.io/e2e/skopeo:3 from_stdin "$WORK/skopeo-oci.tar"
expect_sound
