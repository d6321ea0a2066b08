#!/usr/bin/env bash
# Dockerfiles as people write them (tests/build/real): built on a Debian, twice, the second time from the cache alone; loaded
# into docker and podman, and run there.
# labels: long
# timeout: 1800
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
need docker podman python3

real=$VENEER_SOURCE/tests/build/real
quietly veneer load -i "$(debian_image)"
quietly veneer tag veneer/base debian:12
# The sources in the image name keys of this machine's.
mkdir -p "$WORK/base/keyrings"
cp /usr/share/keyrings/debian-archive-keyring.gpg "$WORK/base/keyrings/"
cat >"$WORK/base/Dockerfile" <<'END'
FROM debian:12
COPY keyrings /usr/share/keyrings/
END
quietly veneer build --progress plain -t debian:12 "$WORK/base"

for name in nginx c-multistage node python; do
  # Not `quietly`: the log is long, and worth seeing when it fails.
  veneer build --progress plain --network host -t "real/$name" "$real/$name" >"$WORK/$name.log" 2>&1 ||
    { tail -n 60 "$WORK/$name.log" >&2; fail "$name does not build"; }
  facts=$(image_facts "real/$name")
  veneer build --progress plain --network host -t "real/$name" "$real/$name" >"$WORK/$name.again" 2>&1 ||
    { tail -n 60 "$WORK/$name.again" >&2; fail "$name does not build again"; }
  expect_eq "$name, built again" "$facts" "$(image_facts "real/$name")"
  grep -q ' CACHED$' "$WORK/$name.again" || fail "$name, built again, uses no cache: $(<"$WORK/$name.again")"
  veneer save -o "$WORK/$name.tar" "real/$name"
  echo "$name: built"
done
expect_sound

start_docker
for name in nginx c-multistage node python; do
  quietly docker load -i "$WORK/$name.tar"
  expect_eq "the image ID of $name in docker" "$(image_facts "real/$name" | head -n 1)" "$(docker inspect -f '{{.Id}}' "real/$name")"
  quietly podman_in peers load -i "$WORK/$name.tar"
done

limits=(--ulimit nofile=1024:1024 --ulimit nproc=1024:1024)
docker_run() { docker run --network host "$@"; }
podman_run() { podman_in peers run --network host "${limits[@]}" "$@"; }

said=$(printf 'one two\nthree\n' | docker_run --rm -i real/c-multistage words)
expect_eq "the C program under docker" 3 "$said"
said=$(printf 'one two\nthree\n' | podman_run --rm -i docker.io/real/c-multistage)
expect_eq "the C program under podman" 2 "$said"

# get URL: what is there.
get() {
  python3 -c 'import sys, urllib.request; sys.stdout.write(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())' "$1"
}
# served BY IMAGE URL WANTED: a container of it answers so.
served() {
  local by=$1 image=$2 url=$3 wanted=$4 said
  "${by}_run" -d --name served "$image" >/dev/null
  wait_for 20 get "$url" || {
    if [[ $by == docker ]]; then docker logs served >&2; else podman_in peers logs served >&2; fi
    fail "$image does not answer under $by"
  }
  said=$(get "$url")
  expect_eq "what $image answers under $by" "$wanted" "$said"
  if [[ $by == docker ]]; then quietly docker rm -f served; else quietly podman_in peers rm -f -t 5 served; fi
}
for by in docker podman; do
  prefix=
  [[ $by == docker ]] || prefix=docker.io/
  served $by ${prefix}real/nginx http://127.0.0.1:18761/ "$(<"$real/nginx/site/index.html")"
  served $by ${prefix}real/node http://127.0.0.1:18762/x '{"path":"/x","user":"app"}'
  served $by ${prefix}real/python http://127.0.0.1:18763/you 'Hello, you!'
  echo "$by: all run"
done
