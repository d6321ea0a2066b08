#!/usr/bin/env bash
# timeout: 240
# A load killed at any moment loses nothing: the store is sound, the load repeated succeeds, and once the
# images are gone no byte of theirs is left.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

seed=${E2E_SEED:-$RANDOM}
echo "E2E_SEED=$seed"
RANDOM=$seed

# What the store takes, name by name. The catalogue's own size is SQLite's business, and the 256 folders
# that objects are spread over stay, empty.
usage() {
  (
    cd "$VENEER_ROOT"
    find . ! -name 'veneer.db*' ! -path './objects/??' -printf '%p %y %b\n' | sort
  )
}
quietly veneer system prune -f
usage >"$WORK/empty"

# remove_all: every image goes, and what an empty store takes stays.
remove_all() {
  local ids
  mapfile -t ids < <(veneer images -q --no-trunc | sort -u)
  ((${#ids[@]} == 0)) || quietly veneer rmi -f "${ids[@]}"
  quietly veneer system prune -f
  usage >"$WORK/left"
  expect_same "what is left after $1" "$WORK/empty" "$WORK/left"
  expect_sound
}

# killed_at POINT: the status of a load killed there; in a subshell that the shell does not mourn.
killed_at() {
  local status=0
  { VENEER_FAULTS=$1=kill veneer load -q -i "$small" >/dev/null; } 2>/dev/null || status=$?
  echo $status
}

# ---- at each step of publishing ------------------------------------------------------------------
small=$(small_image)
for point in store.publish store.contents_synced store.objects_named store.layers_named store.names_synced store.before_commit store.committed; do
  status=$(killed_at $point)
  ((status == 137)) || fail "VENEER_FAULTS=$point=kill: the load exits $status instead of being killed"
  expect_sound
  there=$(veneer images -q | wc -l)
  if [[ $point == store.committed ]]; then
    ((there == 1)) || fail "killed after its transaction: the image is not there"
  else
    ((there == 0)) || fail "killed at $point: an image is there"
  fi
  # Once with what the kill left, once after it is swept.
  if ((RANDOM % 2)); then quietly veneer system prune -f; fi
  quietly veneer load -i "$small"
  expect_sound
  remove_all "a kill at $point"
  status=$(killed_at $point)
  remove_all "a kill at $point and no repetition"
done

# ---- at ten random moments -----------------------------------------------------------------------
debian=$(debian_image)
quietly veneer load -i "$small"
started=$(date +%s%N)
quietly veneer load -i "$debian"
took=$((($(date +%s%N) - started) / 1000000))
echo "an undisturbed load takes $took ms"
quietly veneer rmi veneer/base
quietly veneer system prune -f
facts=$(image_facts veneer/small)

kills=0
for ((i = 0; i < 10; ++i)); do
  after=$(((RANDOM << 15 | RANDOM) % took))
  veneer load -q -i "$debian" >/dev/null 2>&1 &
  pid=$!
  sleep "$((after / 1000)).$(printf %03d $((after % 1000)))"
  kill -KILL $pid 2>/dev/null || true
  status=0
  wait $pid 2>/dev/null || status=$?
  ((status == 0 || status == 137)) || fail "killed after $after ms, the load exits $status"
  ((status == 0)) || : $((kills += 1))
  expect_sound
  expect_eq "the other image after a kill at $after ms" "$facts" "$(image_facts veneer/small)"
  if ((status == 0)); then quietly veneer rmi veneer/base; fi
done
((kills > 0)) || fail "no load was still running when it was to be killed"
echo "$kills of 10 loads were killed"
quietly veneer load -i "$debian"
expect_sound
image_archive.py extract "$debian" "$WORK/wanted"
expect_eq "the image loaded at last" "sha256:$(sha256sum "$WORK/wanted/config.json" | cut -d ' ' -f 1)" \
  "$(image_facts veneer/base | head -n 1)"
remove_all "ten kills"
