#!/usr/bin/env bash
# A build killed again and again at random moments, by SIGKILL and by SIGINT: no process, mount or file of it is left once `system prune` has
# run, and the next build gives the image that an undisturbed one gives.
# timeout: 1200
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
need python3

seed=${E2E_SEED:-$RANDOM}
echo "E2E_SEED=$seed"
RANDOM=$seed
readonly KILLS=${E2E_KILLS:-12}  # scripts/test --long: 50

small=$(small_image)
context=$WORK/context
mkdir -p "$context/tree" "$WORK/runtimes"
for ((i = 0; i < 400; ++i)); do echo "$i" >"$context/tree/$i"; done
head -c 8000000 /dev/urandom >"$context/big"
tar -C "$context" -cf "$WORK/packed.tar" tree
mv "$WORK/packed.tar" "$context/packed.tar"
echo hush >"$WORK/secret"
find "$context" -exec touch -h -d @$EPOCH {} +
# A mark in the environment of every RUN: its processes are known by it.
readonly MARK=veneer-build-kill-$$-$seed
cat >"$context/Dockerfile" <<END
FROM veneer/small AS one
ENV MARK=$MARK
RUN seq 100000 >/numbers
RUN rm -r /usr && mkdir /usr && sleep 0.1
FROM veneer/small AS two
ENV MARK=$MARK
COPY tree /tree
RUN --mount=type=cache,target=/cache dd if=/dev/urandom of=/cache/x bs=1M count=8 2>/dev/null; cp -r /tree /again
ADD packed.tar /unpacked/
FROM veneer/small
ENV MARK=$MARK
COPY big /big
RUN --mount=type=secret,id=s --mount=from=two,source=/tree,target=/mnt/tree cat /run/secrets/s /mnt/tree/* >/all
COPY --from=one /numbers /
COPY --link --from=two /again /unpacked /
RUN sleep 0.2; sha256sum /big >/sum
END

# build: with a group of its own, and not deaf to SIGINT as the shell's background jobs are.
build() {
  SOURCE_DATE_EPOCH=$EPOCH exec python3 -c '
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.setsid()
os.execvp(sys.argv[1], sys.argv[1:])' veneer build --progress plain --secret "id=s,src=$WORK/secret" -t e2e/killed "$context"
}
# undisturbed WHEN: it succeeds, and gives the image that is wanted, if that is known yet.
wanted=
undisturbed() {
  (build) >"$WORK/build.log" 2>&1 || { tail -n 60 "$WORK/build.log" >&2; fail "the build $1 fails"; }
  [[ -z $wanted ]] || expect_eq "the image built $1" "$wanted" "$(image_facts e2e/killed)"
}

# processes: those with the test's folder among their words, or of a RUN, but for this shell and what it asks with.
processes() {
  python3 - "$WORK/" "$MARK" $$ <<'PYTHON'
import os, sys
folder, mark, shell = sys.argv[1].encode(), sys.argv[2].encode(), int(sys.argv[3])
for pid in filter(str.isdigit, os.listdir("/proc")):
    if int(pid) in (shell, os.getpid()):
        continue
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            command = file.read()
        with open(f"/proc/{pid}/environ", "rb") as file:
            environment = file.read()
    except OSError:
        continue
    if b"MARK=" + mark in environment.split(b"\0") or folder in command:
        print(pid, command.replace(b"\0", b" ").decode(errors="replace"))
PYTHON
}
no_process() { [[ -z $(processes) ]]; }
no_mount() { [[ -z $(mounts_below) ]]; }

usage() {
  (
    cd "$VENEER_ROOT"
    find . ! -name 'veneer.db*' ! -path './objects/??' -printf '%p %y %b\n' | sort
  )
}
# Where runtimes keep state, and what is in the temporary folder.
elsewhere() {
  find "$TMPDIR" -mindepth 1 2>/dev/null || true
  find /run/crun /run/runc /run/veneer* -mindepth 1 -maxdepth 1 2>/dev/null | sort || true
}
quietly veneer system prune -a -f
usage >"$WORK/empty"
elsewhere >"$WORK/elsewhere"

# nothing_left WHAT
nothing_left() {
  wait_for 10 no_process || fail "after $1 there still run: $(processes)"
  wait_for 10 no_mount || fail "after $1 there is still mounted: $(mounts_below)"
  quietly veneer system prune -a -f
  usage >"$WORK/left"
  expect_same "what is left after $1" "$WORK/empty" "$WORK/left"
  elsewhere >"$WORK/elsewhere.now"
  expect_same "what is left outside the store after $1" "$WORK/elsewhere" "$WORK/elsewhere.now"
}

base_there() { [[ -n $(veneer images -q veneer/small) ]] || quietly veneer load -i "$small"; }

# The shorter of two: on a machine that others use, one may take long.
took=1000000
for n in first second; do
  base_there
  started=$(date +%s%N)
  undisturbed "for the $n time"
  ended=$((($(date +%s%N) - started) / 1000000))
  ((took < ended)) || took=$ended
  wanted=$(image_facts e2e/killed)
  nothing_left "the $n build"
done
echo "an undisturbed build takes $took ms"

kills=0
for ((i = 0; i < KILLS; ++i)); do
  signal=KILL group=
  if ((i % 2)); then signal=INT; fi
  # Ctrl-C reaches the whole foreground group, `kill` the one process.
  if ((i % 4 == 1)); then group=-; fi
  base_there
  after=$(((RANDOM << 15 | RANDOM) % took))
  what="SIG$signal at $after ms"
  build >"$WORK/killed.log" 2>&1 &
  pid=$!
  sleep "$((after / 1000)).$(printf %03d $((after % 1000)))"
  status=0 began=$(date +%s%N)
  kill -$signal -- "$group$pid" 2>/dev/null || true
  wait $pid 2>/dev/null || status=$?
  ended=$((($(date +%s%N) - began) / 1000000))
  case $signal:$status in
    *:0) took=$((took * 3 / 4 + 100)) ;; # it was done: on a machine that others use, times vary
    KILL:137 | INT:1 | INT:130) : $((kills += 1)) ;;
    *) fail "after $what it exits $status: $(<"$WORK/killed.log")" ;;
  esac
  echo "$what: exits $status after $ended ms"
  if [[ $signal == INT ]]; then
    # At once; but a sync that has begun ends when the disk has it.
    ((ended < 10000)) || fail "after $what it takes $ended ms to end"
    # Nothing has to be swept for these.
    wait_for 3 no_process || fail "after $what there still run: $(processes)"
    no_mount || fail "after $what there is still mounted: $(mounts_below)"
  fi
  case $((i % 3)) in
    0) # beside what may still be ending, and with what was cached
      undisturbed "after $what"
      expect_sound
      nothing_left "$what"
      ;;
    1) ;; # the next goes on with what this one left
    2)
      nothing_left "$what"
      base_there
      undisturbed "after $what and a sweep"
      ;;
  esac
done
((kills >= KILLS / 2)) || fail "only $kills of $KILLS builds were still running when they were to be killed"
echo "$kills of $KILLS builds were killed"
base_there
undisturbed "at last"
expect_sound
nothing_left "all"
