#!/usr/bin/env bash
# timeout: 240
# load, save, load in a second store: the same image ID and DiffIDs, and each layer's tar is the
# original's, byte for byte, whoever made it: GNU tar, bsdtar, docker, podman, buildah, umoci.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
need jq

originals=$(peer_images)

# same_image WHAT FOLDER SAVED: an archive or layout holds the config and tars extracted to FOLDER.
same_image() {
  local file
  image_archive.py extract "$3" "$WORK/saved"
  expect_eq "the list of layers of $1" "$(ls "$2")" "$(ls "$WORK/saved")"
  for file in "$2"/*; do
    cmp "$file" "$WORK/saved/${file##*/}" >&2 || fail "$1: ${file##*/} is not the original's"
  done
  rm -r "$WORK/saved"
}

# loads_again WHAT SAVED FACTS
loads_again() {
  rm -rf "$WORK/second"
  quietly veneer_in second load -i "$2"
  expect_eq "the image loaded from $1" "$3" "$(image_facts "${3%%$'\n'*}" second)"
  expect_sound_in second
}

for original in tars.tar docker.tar podman.tar buildah.tar umoci; do
  rm -rf "$VENEER_ROOT"
  image_archive.py extract "$originals/$original" "$WORK/original"
  quietly veneer load -i "$originals/$original"
  name=$(veneer images --no-trunc -q)
  facts=$(image_facts "$name")
  expect_eq "the ID of $original" "sha256:$(sha256sum "$WORK/original/config.json" | cut -d ' ' -f 1)" "$name"

  rm -rf "$WORK/out"
  mkdir -p "$WORK/out/layout"
  quietly veneer save -o "$WORK/out/docker.tar" "$name"
  veneer save "$name" >"$WORK/out/docker-stdout.tar"
  quietly veneer save --format oci -o "$WORK/out/oci.tar" "$name"
  veneer save --format oci "$name" | cat >"$WORK/out/oci-pipe.tar"
  quietly veneer save --format oci -o "$WORK/out/layout" "$name"

  expect_same "$original saved to standard output" "$WORK/out/docker.tar" "$WORK/out/docker-stdout.tar"
  expect_same "$original saved to a pipe" "$WORK/out/oci.tar" "$WORK/out/oci-pipe.tar"
  for saved in docker.tar oci.tar layout; do
    same_image "$original saved as $saved" "$WORK/original" "$WORK/out/$saved"
    loads_again "$original saved as $saved" "$WORK/out/$saved" "$facts"
  done
  # And what the second store saves is what the first did.
  quietly veneer_in second save -o "$WORK/out/again.tar" "$name"
  expect_same "$original saved by the second store" "$WORK/out/docker.tar" "$WORK/out/again.tar"
  rm -r "$WORK/original"
done

# All in one store and one archive: layers that images share are in it once.
rm -rf "$VENEER_ROOT" "$WORK/second"
for original in tars.tar docker.tar podman.tar buildah.tar umoci; do
  quietly veneer load -i "$originals/$original"
done
mapfile -t ids < <(veneer images --no-trunc -q | sort -u)
((${#ids[@]} == 5)) || fail "${#ids[@]} images of five"
quietly veneer save -o "$WORK/all.tar" "${ids[@]}"
quietly veneer_in second load -i "$WORK/all.tar"
for id in "${ids[@]}"; do
  expect_eq "$id of an archive of five" "$(image_facts "$id")" "$(image_facts "$id" second)"
done
[[ -z $(tar -tf "$WORK/all.tar" | sort | uniq -d) ]] || fail "a name is twice in an archive of five images"
expect_sound_in second
