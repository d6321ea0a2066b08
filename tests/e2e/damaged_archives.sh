#!/usr/bin/env bash
# timeout: 240
# What is damaged, or never was an image, does not load: one line says so and names the file, and the
# store is as it was, byte for byte.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
need gzip zstd xz bzip2

# The store has an image; what is damaged is of another.
quietly veneer load -i "$(small_image)"
seq 200000 >"$WORK/numbers"
mkdir "$WORK/layer"
make_rich_tree "$WORK/layer"
cp "$WORK/numbers" "$WORK/layer/"
tar -C "$WORK/layer" --sort=name --sparse -cf "$WORK/layer.tar" .
damaged_images.py "$WORK/layer.tar" "$WORK/cases"

remember() {
  store_files >"$WORK/files.before"
  veneer images --no-trunc >"$WORK/images.before"
}
unchanged() {
  store_files >"$WORK/files.after"
  expect_same "the store after loading $1" "$WORK/files.before" "$WORK/files.after"
}
images_unchanged() {
  veneer images --no-trunc >"$WORK/images.after"
  expect_same "the list of images" "$WORK/images.before" "$WORK/images.after"
  expect_sound
  unchanged "all of that"
}
refused() {
  # Some would read for ever, where a path of theirs were followed.
  expect_error 1 "veneer: cannot load '$1': ?*" timeout 60 veneer load -i "$1"
  unchanged "$1"
  : $((count += 1))
}
count=0

# ---- wrong in one way each -----------------------------------------------------------------------
remember
for file in "$WORK"/cases/*; do
  [[ ${file##*/} == good* ]] || refused "$file"
done
images_unchanged

# The same where the store has the good layer: what is known must not stand in for what is wrong.
quietly veneer load -i "$WORK/cases/good.tar"
remember
for file in "$WORK"/cases/*flipped* "$WORK"/cases/*layer-{cut,is-empty}* "$WORK"/cases/*{size,digest,diff-id}*; do
  refused "$file"
done
images_unchanged
good=$(veneer images -q --no-trunc e2e/damaged:1)
quietly veneer rmi e2e/damaged:1
quietly veneer system prune -f

# ---- no archive at all ---------------------------------------------------------------------------
remember
mkdir -p "$WORK/none/folder/blobs/sha256" "$WORK/none/empty-folder"
: >"$WORK/none/empty"
printf 'x' >"$WORK/none/one-byte"
seq 10000 >"$WORK/none/text"
head -c 1M /dev/zero >"$WORK/none/zeros"
tar -cf "$WORK/none/other.tar" -C "$WORK" numbers
cp "$WORK/layer.tar" "$WORK/none/layer-alone.tar"
for tool in gzip zstd xz bzip2; do $tool -c <"$WORK/none/text" >"$WORK/none/text.$tool"; done
for file in "$WORK"/none/*; do refused "$file"; done
expect_error 1 "veneer: cannot read '$WORK/nowhere': No such file or directory" veneer load -i "$WORK/nowhere"
expect_error 1 "veneer: cannot load standard input: ?*" veneer load </dev/null
expect_error 1 "veneer: cannot load standard input: ?*" veneer load <"$WORK/none/text"
images_unchanged

# ---- cut short -----------------------------------------------------------------------------------
# Where the content of the last member ends; what follows is padding, which nobody misses.
content_end() {
  python3 -c 'import sys, tarfile
last = tarfile.open(sys.argv[1]).getmembers()[-1]
print(last.offset_data + last.size)' "$1"
}
seed=${E2E_SEED:-$RANDOM}
echo "E2E_SEED=$seed"
RANDOM=$seed
below() { echo $(((RANDOM << 15 | RANDOM) % $1)); }

tar -C "$WORK/cases/good-layout" -cf "$WORK/oci.tar" .
cp "$WORK/cases/good.tar" "$WORK/docker.tar"
for archive in docker oci; do
  for tool in cat gzip zstd xz bzip2; do
    if [[ $tool == cat ]]; then
      whole=$WORK/$archive.tar
      end=$(content_end "$whole")
    else
      whole=$WORK/$archive.$tool
      $tool -c <"$WORK/$archive.tar" >"$whole"
      end=$(stat -c %s "$whole")
    fi
    for size in 1 3 100 511 512 1024 $((end / 3)) $(below "$end") $(below "$end") $((end - 600)) $((end - 1)); do
      head -c "$size" "$whole" >"$WORK/$archive.$tool.cut-at-$size"
      refused "$WORK/$archive.$tool.cut-at-$size"
      rm "$WORK/$archive.$tool.cut-at-$size"
    done
  done
done
cut_pipe() { head -c 700000 "$WORK/oci.tar" | veneer load; }
expect_error 1 "veneer: cannot load standard input: ?*" cut_pipe
images_unchanged

# ---- a bit flipped anywhere ----------------------------------------------------------------------
# In padding, in a time, in a name of the image, it may do no harm. So: refused, or the very image.
harmless=0
for ((i = 0; i < 40; ++i)); do
  case $((i % 4)) in
    0) whole=$WORK/docker.tar ;;
    1) whole=$WORK/oci.tar ;;
    2) whole=$WORK/docker.zstd ;;
    3) whole=$WORK/oci.gzip ;;
  esac
  at=$(below "$(stat -c %s "$whole")")
  # Headers are few among the bytes; half of the flips in archives go there. The first is harmless.
  if ((i % 8 < 2)); then at=$((at % 512)); fi
  if ((i == 0)); then at=$(($(stat -c %s "$whole") - 1)); fi
  flipped=$WORK/flipped-${whole##*/}-at-$at
  python3 -c 'import sys
data = bytearray(open(sys.argv[1], "rb").read())
data[int(sys.argv[2])] ^= 1 << int(sys.argv[3])
open(sys.argv[4], "wb").write(data)' "$whole" "$at" "$((RANDOM % 8))" "$flipped"
  if veneer load -q -i "$flipped" >/dev/null 2>"$WORK/said"; then
    expect_eq "the image of $flipped" "$(printf '%s\n' "$good" "$(tail -n 1 "$WORK/images.before" | awk '{print $3}')" | sort)" \
      "$(veneer images -q --no-trunc | sort)"
    expect_sound
    quietly veneer rmi "$good"
    quietly veneer system prune -f
    remember
    : $((harmless += 1))
  else
    refused "$flipped"
  fi
  rm "$flipped"
done
images_unchanged
((harmless > 0)) || fail "a flip in padding does harm"
echo "$count refused; $harmless flips of 40 did no harm"
