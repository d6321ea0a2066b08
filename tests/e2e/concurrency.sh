#!/usr/bin/env bash
# timeout: 240
# Several processes load into one store, the same image and others that share layers with it, while another
# removes what nothing reaches, over and over: every load succeeds, and nothing of any is missing.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

# Images that share layers: a; a+b; a+b+c; b+c. Debian is long enough to be in the middle of.
image_archive.py extract "$(debian_image)" "$WORK/base"
for layer in b c; do
  mkdir "$WORK/$layer"
  for ((i = 0; i < 300; ++i)); do echo "$layer $i" >"$WORK/$layer/file-$i"; done
  seq 100000 >"$WORK/$layer/in-both"
  tar -C "$WORK/$layer" --sort=name --mtime=@$EPOCH --transform "s,^[.],opt/$layer," -cf "$WORK/$layer.tar" .
done
a=$WORK/base/1.tar b=$WORK/b.tar c=$WORK/c.tar
image_archive.py docker "$WORK/a.image" e2e/a:1 "$a"
image_archive.py docker "$WORK/ab.image" e2e/ab:1 "$a" "$b"
image_archive.py docker "$WORK/abc.image" e2e/abc:1 "$a" "$b" "$c"
image_archive.py docker "$WORK/b.image" e2e/b:1 "$b"
image_archive.py docker "$WORK/bc.image" e2e/bc:1 "$b" "$c"

# prune_until FILE: over and over until there is a FILE; prints how often.
prune_until() {
  local count=0
  until [[ -e $1 ]]; do
    veneer system prune -f >/dev/null
    : $((count += 1))
  done
  echo "$count"
}

# at_once JOB...: each a command with arguments, at the same time as the others and the pruning.
at_once() {
  local job pid pids=() failed=0 pruner
  rm -f "$WORK/done"
  prune_until "$WORK/done" >"$WORK/prunes" 2>"$WORK/prune.err" &
  pruner=$!
  for job in "$@"; do
    # shellcheck disable=SC2086  # words are meant
    $job >"$WORK/job.${#pids[@]}" 2>&1 &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
  : >"$WORK/done"
  wait $pruner || fail "prune fails beside others: $(<"$WORK/prune.err")"
  ((failed == 0)) || fail "of '$*' at once one fails: $(cat "$WORK"/job.*)"
  [[ ! -s $WORK/prune.err ]] || fail "prune says: $(<"$WORK/prune.err")"
  echo "$(<"$WORK/prunes") prunes beside $*"
  expect_sound
}
load() { veneer load -q -i "$WORK/$1.image"; }
# comes_and_goes IMAGE: again and again, so that prunes fall between and what others need is left over.
comes_and_goes() {
  local i
  for ((i = 0; i < 6; ++i)); do
    load "$1"
    veneer rmi "e2e/$1:1"
  done
  load "$1"
}
expect_images() {
  expect_eq "the images" "$*" "$(veneer images --format '{{.Repository}}:{{.Tag}}' | sort | paste -sd ' ')"
}

at_once "load bc" "load bc" "load bc" "load bc"
expect_images e2e/bc:1
at_once "comes_and_goes b" "comes_and_goes bc" "load bc" "load b"
[[ -n $(image_facts e2e/b:1) && -n $(image_facts e2e/bc:1) ]] || fail "b or bc is not there"
quietly veneer rmi e2e/bc:1
at_once "load a" "load a" "load ab" "load abc" "comes_and_goes b"
expect_images e2e/a:1 e2e/ab:1 e2e/abc:1 e2e/b:1

# Gone while others come that need the same.
at_once "veneer rmi e2e/a:1 e2e/ab:1" "load bc" "load abc"
expect_images e2e/abc:1 e2e/b:1 e2e/bc:1

# What is saved from such a store is what was loaded.
quietly veneer save -o "$WORK/saved.tar" e2e/abc:1
image_archive.py extract "$WORK/saved.tar" "$WORK/saved"
for pair in "$a 1" "$b 2" "$c 3"; do
  cmp "${pair% *}" "$WORK/saved/${pair#* }.tar" >&2 || fail "layer ${pair#* } is not what was loaded"
done
