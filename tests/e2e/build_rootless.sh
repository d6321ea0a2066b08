#!/usr/bin/env bash
# timeout: 300
# A build by an ordinary user gives the files and config that root's does, and what is left of one that was killed goes with
# `system prune`, whoever it belongs to.
# shellcheck source=private_machine_lib.sh
source "$(dirname "$0")/private_machine_lib.sh"
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
need busybox newuidmap runc

make_private_machine
small=$(small_image)
context=$WORK/user/context
mkdir -p "$context"
install -m 644 "$small" "$WORK/user/small.tar"
echo content >"$context/file"
cat >"$context/Dockerfile" <<'END'
FROM veneer/small
RUN mkdir /made && echo "$(id -u):$(id -g)" >/made/who && chown 1000:50 /made/who && chmod 4755 /made/who
COPY --chown=7:8 file /copied/
WORKDIR /work
USER 1000:50
RUN id -u >/tmp/user
ENV A=b
CMD ["/made/who"]
END
cat >"$context/Slow" <<'END'
FROM veneer/small
RUN mkdir /private && touch /private/file && chown 1000:1000 /private /private/file && chmod 700 /private && sleep 100
END
chmod -R a+rX "$WORK/user"

# build STORE TAR COMMAND...
build() {
  local store=$1 out=$2
  shift 2
  quietly "$@" veneer --root "$store" load -i "$WORK/user/small.tar"
  quietly "$@" env SOURCE_DATE_EPOCH=1000000000 veneer --root "$store" build --progress plain -t built "$context"
  quietly "$@" veneer --root "$store" save -o "$out" built
}
build "$WORK/root-store" "$WORK/root.tar"
build "$WORK/user/store" "$WORK/user/built.tar" as_user
expect_eq "the image" "$(veneer --root "$WORK/root-store" inspect -f '{{.Id}}' built)" \
  "$(as_user veneer --root "$WORK/user/store" inspect -f '{{.Id}}' built)"

as_user veneer --root "$WORK/user/store" build --progress plain -f "$context/Slow" "$context" >"$WORK/slow.log" 2>&1 &
for ((i = 0; i < 300; ++i)); do
  [[ -z $(find "$WORK/user/store/ingest" -path '*private/file' -uid +100000 2>/dev/null) ]] || break
  sleep 0.1
done
pkill -KILL -u 4242 -f 'build --progress plain -f' || fail "there is no build to kill"
wait || true
[[ -n $(ls -A "$WORK/user/store/ingest") ]] || fail "the killed build left nothing to clean up"
quietly as_user veneer --root "$WORK/user/store" system prune -f
expect_eq "left of the build" "" "$(ls -A "$WORK/user/store/ingest")"
quietly as_user veneer --root "$WORK/user/store" build --progress plain -t again "$context"
