# What the end-to-end tests share; each sources it first. It makes $WORK, a folder that is gone when
# the test ends, points VENEER_ROOT at a store in it, and puts the built programs first in PATH.
# shellcheck shell=bash
set -euo pipefail
shopt -s inherit_errexit # or $(…) would go on after a failure, with what it failed to set empty
: "${VENEER_BIN:?the folder of the built programs}" "${VENEER_SOURCE:?the checkout}"

# ---- failing -------------------------------------------------------------------------------------

readonly TEST_NAME=${0##*/}

fail() {
  printf '%s: FAILED: %s\n' "$TEST_NAME" "$*" >&2
  exit 1
}

# expect_eq WHAT WANTED GOT
expect_eq() {
  [[ $2 == "$3" ]] && return
  diff -u --label wanted --label got <(printf '%s\n' "$2") <(printf '%s\n' "$3") | head -n 40 >&2 || true
  fail "$1 is not as it should be"
}

# expect_same WHAT WANTED-FILE GOT-FILE: byte for byte; a difference between texts is shown
expect_same() {
  cmp -s "$2" "$3" && return
  diff -u --label wanted --label got "$2" "$3" | head -n 40 >&2 || true
  fail "$1 is not as it should be"
}

# expect_error STATUS PATTERN COMMAND...: fails with STATUS, prints nothing, and says one line, which
# begins "veneer: " and matches PATTERN (of [[ ]]).
expect_error() {
  local wanted=$1 pattern=$2 status=0 said
  shift 2
  "$@" >"$WORK/expect.out" 2>"$WORK/expect.err" || status=$?
  said=$(<"$WORK/expect.err")
  ((status == wanted)) || fail "'$*' exits $status, not $wanted, and says: $said"
  [[ $(wc -l <"$WORK/expect.err") == 1 ]] || fail "'$*' says, not in one line: $said"
  # shellcheck disable=SC2053  # a pattern is meant
  [[ $said == "veneer: "* && $said == $pattern ]] || fail "'$*' says '$said', not '$pattern'"
  [[ ! -s $WORK/expect.out ]] || fail "'$*' fails, but prints: $(<"$WORK/expect.out")"
}

# quietly COMMAND...: what it prints is shown only if it fails. COMMAND is a program or one of the
# wrappers below: in a longer function, what fails would not end it.
quietly() {
  local status=0
  "$@" >"$WORK/quietly.log" 2>&1 || status=$?
  ((status == 0)) && return
  tail -n 40 "$WORK/quietly.log" >&2
  fail "'$*' exits $status"
}

need() {
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null || fail "it needs $tool; scripts/setup --test installs it"
  done
}

# ---- a folder of its own, and nothing left behind -------------------------------------------------

# Sockets in it must fit sun_path, however deep TMPDIR is.
WORK=${TMPDIR:-/tmp}
((${#WORK} < 40)) || WORK=/tmp
WORK=$(mktemp -d "$WORK/veneer-e2e.XXXXXX")
[[ -d $WORK && $WORK == /*/veneer-e2e.* ]] || fail "no folder to work in"
readonly WORK
export VENEER_ROOT=$WORK/store TMPDIR=$WORK/tmp
mkdir "$TMPDIR"
PATH=$VENEER_BIN:$VENEER_SOURCE/tests/e2e:$PATH

# enter FOLDER: goes there, and refuses to be anywhere but below $WORK. Every helper that changes a tree
# enters it first and names things relative to it: an empty or wrong FOLDER must never mean the host.
enter() {
  local folder
  folder=$(realpath -e -- "${1:?a folder}")
  [[ $folder == "$WORK"/* ]] || fail "'$folder' is not below $WORK: not touched"
  cd "$folder" || fail "cannot enter $folder"
}

# started PID: a process to end with the test. (A file knows it, as $(…) may have started it.)
started() { echo "$1" >>"$WORK/started"; }

# stop PID: asks it to end, and waits until it has (daemons are often not children).
stop() {
  local tries
  kill "$1" 2>/dev/null || return 0
  for ((tries = 0; tries < 100; tries++)); do
    kill -0 "$1" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -KILL "$1" 2>/dev/null || true
}

mounts_below() { awk -v below="$WORK/" 'index($2, below) == 1 {print $2}' /proc/self/mounts | tac; }

clean_up() {
  local status=$? pid target
  trap - EXIT ERR
  set +eE
  if [[ -e $WORK/started ]]; then
    while read -r pid; do stop "$pid"; done <"$WORK/started"
  fi
  while read -r target; do
    target=$(printf '%b' "$target") # the kernel writes a space as \040
    umount "$target" 2>/dev/null || umount -l "$target"
  done < <(mounts_below)
  if [[ -n $(mounts_below) ]]; then
    # Of a folder of the host, perhaps: removing what is below would remove that.
    printf '%s: something is still mounted below %s: left as it is\n' "$TEST_NAME" "$WORK" >&2
    exit 1
  fi
  # What a daemon still writes while it ends would race the first attempt.
  rm -rf --one-file-system "$WORK" 2>/dev/null || { sleep 1; rm -rf --one-file-system "$WORK"; }
  exit "$status"
}
trap clean_up EXIT
trap 'printf "%s: FAILED: line %s: %s\n" "$TEST_NAME" "$LINENO" "$BASH_COMMAND" >&2' ERR
set -E

# ---- images to load ------------------------------------------------------------------------------

# cached NAME COMMAND...: the path of what COMMAND NEW_PATH makes, made once per build folder.
cached() {
  local cache=${VENEER_BIN%/}/../test-cache name=$1
  shift
  mkdir -p "$cache"
  (
    flock 9
    if [[ ! -e $cache/$name ]]; then
      rm -rf "${cache:?}/${name:?}.part"
      # In the background: a COMMAND of `||` would go on after a failure inside it.
      "$@" "$cache/$name.part" >"$cache/$name.log" 2>&1 9>&- &
      wait $! || { tail -n 40 "$cache/$name.log" >&2; fail "cannot make $name"; }
      mv "$cache/$name.part" "$cache/$name"
    fi
  ) 9>"$cache/$name.lock"
  printf '%s\n' "$cache/$name"
}

# The time in every image made here.
readonly EPOCH=1700000000

# A static busybox, 2 MB: veneer/small:latest, a docker-archive.
small_image() { cached small.tar make_base_image --small; }

# A minimal Debian, 8,000 names and 170 MB: veneer/base:latest.
debian_image() { cached base.tar make_base_image; }

make_base_image() { SOURCE_DATE_EPOCH=$EPOCH "$VENEER_SOURCE/scripts/make-base-image" "$@"; }

# make_rich_tree FOLDER: one of everything a layer can carry, in an empty folder.
make_rich_tree() {
  local long
  mkdir -p "${1:?a folder}"
  long=$(printf 'long-%.0s' {1..40})
  (
    enter "$1"
    mkdir -p dir/empty sticky private "$long/$long/$long"
    echo content >file
    ln file hard-link
    ln file dir/hard-link
    ln -s ../file dir/symlink
    ln -s "/$long/$long/$long/$long" long-symlink
    ln -s nowhere $'symlink-\xff'
    echo long >"$long/$long/$long/$long"
    echo latin-1 >$'caf\xe9'
    echo unicode >'naïve – ☃'
    echo odd >$'new\nline and\ttab \\ "quotes"'
    : >empty
    mkfifo fifo
    mknod char c 1 3
    mknod block b 259 70000
    truncate -s 5M holes
    printf 'in the middle' | dd of=holes bs=1 seek=2M conv=notrunc status=none
    printf 'at the end' >>holes
    truncate -s 8M all-hole
    echo program >capable
    chmod 755 capable
    setcap cap_net_raw,cap_net_admin+ep capable
    setfattr -n user.text -v value file
    setfattr -n user.binary -v 0x00ff0a3d file
    setfattr -n user.dir -v "$(printf 'x%.0s' {1..500})" dir
    setfattr -h -n trusted.link -v kept dir/symlink
    echo acl >acl
    setfacl -m u:1234:rw,g:70000:r acl
    setfacl -m u:1234:rwx -d -m u:1234:rx,g::r private
    echo far >far
    chown 3000000:4000000 far
    chown -h 2097153:2097153 $'symlink-\xff'
    echo setuid >setuid
    chmod 6755 setuid
    chmod 1777 sticky
    chmod 2700 private
    find . -exec touch -h -d @$EPOCH.123456789 {} +
    touch -d '1975-02-03 04:05:06.000000001 UTC' old
    touch -d '2200-01-01 UTC' new
  )
}

# change_root ROOT: what people do to busybox, and a rich tree at /rich.
change_root() {
  (
    enter "$1"
    rm etc/issue bin/vi
    rm -r usr
    mkdir usr
    echo new >usr/file
    # An empty one: of others umoci writes whiteouts below a file, which docker does not unpack.
    rmdir var/log
    echo file >var/log
    rm etc/mtab
    mkdir etc/mtab
    rmdir home
    ln -s /root home
    echo changed >>etc/passwd
    chmod 750 tmp
    find etc usr var home tmp -exec touch -h -d @$((EPOCH + 100)).5 {} +
  )
  make_rich_tree "$1/rich"
}

# peer_images: a folder of images whose layers each peer made, all with a rich tree: tars.tar (by GNU
# tar and bsdtar, in all their formats), pax.tar (by both, in the form that podman unpacks),
# docker.tar, podman.tar, buildah.tar (OCI), umoci (a layout).
peer_images() {
  local inputs
  inputs=$(cat "$VENEER_SOURCE"/tests/e2e/{lib.sh,image_archive.py} | sha256sum)
  cached "peers-${inputs:0:12}" make_peer_images
}

make_peer_images() {
  local out=${1:?a folder} base container root
  need tar bsdtar docker podman buildah skopeo umoci
  mkdir -p "$out"
  base=$(small_image)

  make_rich_tree "$WORK/rich"
  bsdtar -C "$WORK/rich" -s ',^[.],bsd,S' --format=pax --xattrs --acls -cf "$WORK/bsd.tar" .
  make_tar_layers "$WORK/rich" "$WORK/layers"
  image_archive.py docker "$out/pax.tar" e2e/pax:latest "$WORK/layers/gnu-posix.tar" "$WORK/bsd.tar"
  image_archive.py docker "$out/tars.tar" e2e/tars:latest "$WORK"/layers/*.tar

  # docker unpacks and packs the layer itself: ADD of a tar keeps what a COPY would lose.
  start_docker
  mkdir "$WORK/context"
  cp "$WORK/layers/gnu-posix.tar" "$WORK/context/rich.tar"
  cat >"$WORK/context/Dockerfile" <<END
FROM veneer/small
ADD rich.tar /rich/
COPY rich.tar /usr/share/doc/
LABEL made.by=docker
END
  docker load -i "$base"
  DOCKER_BUILDKIT=0 docker build -t e2e/docker "$WORK/context"
  docker save -o "$out/docker.tar" e2e/docker
  stop "$(<"$WORK/docker/pid")"

  podman_in peers load -i "$base"
  container=$(podman_in peers create --network host --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 veneer/small)
  root=$(podman_in peers mount "$container")
  change_root "$root"
  podman_in peers umount "$container"
  podman_in peers commit -f docker "$container" e2e/podman
  podman_in peers save -o "$out/podman.tar" e2e/podman

  container=$(buildah_in peers from veneer/small)
  root=$(buildah_in peers mount "$container")
  change_root "$root"
  buildah_in peers umount "$container"
  buildah_in peers commit "$container" "oci-archive:$out/buildah.tar:e2e/buildah:latest"

  skopeo copy "docker-archive:$base" "oci:$out/umoci:latest"
  umoci unpack --image "$out/umoci:latest" "$WORK/bundle"
  change_root "$WORK/bundle/rootfs"
  umoci repack --image "$out/umoci:latest" "$WORK/bundle"
  umoci gc --layout "$out/umoci"
}

# make_tar_layers FOLDER OUT: its tar by each program, in each of the formats that can hold it.
make_tar_layers() {
  local format gnu=(tar -C "$1" --sort=name --sparse --numeric-owner)
  mkdir "$2"
  "${gnu[@]}" --format=posix --xattrs '--xattrs-include=*' --acls -cf "$2/gnu-posix.tar" .
  # Before 1970: podman makes that 1970, so it is in what podman does not unpack.
  touch -d '1950-02-03 04:05:06.000000001 UTC' "$1/old"
  for format in 0.0 0.1; do
    "${gnu[@]}" --format=posix --sparse-version=$format -cf "$2/gnu-sparse-$format.tar" .
  done
  "${gnu[@]}" --format=gnu -cf "$2/gnu.tar" .
  "${gnu[@]}" --format=gnu --hard-dereference --blocking-factor=1 -cf "$2/gnu-blocks.tar" file far holes
  bsdtar -C "$1" --format=pax --xattrs --acls --fflags -cf "$2/bsd-pax.tar" .
  bsdtar -C "$1" --format=gnutar -cf "$2/bsd-gnu.tar" .
}

# ---- peers, each with a root of its own ----------------------------------------------------------

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
  local tries=$(($1 * 10))
  shift
  until "$@" >/dev/null 2>&1; do
    ((tries-- > 0)) || return 1
    sleep 0.1
  done
}

# start_docker: a dockerd without network; `docker` then speaks to it. Again after a stop: a new one.
start_docker() {
  local home=$WORK/docker
  need dockerd docker
  rm -rf "$home"
  mkdir -p "$home/client"
  echo '{}' | tee "$home/client/config.json" >"$home/daemon.json"
  export DOCKER_HOST=unix://$home/sock DOCKER_CONFIG=$home/client
  dockerd --config-file "$home/daemon.json" --data-root "$home/data" --exec-root "$home/exec" \
    --pidfile "$home/pid" --host "$DOCKER_HOST" --iptables=false --ip6tables=false --bridge=none \
    >"$home/log" 2>&1 &
  started $!
  wait_for 60 docker version || { tail -n 20 "$home/log" >&2; fail "dockerd does not start"; }
}

# start_containerd: a containerd; `ctr` is given its address by ctr_e2e.
start_containerd() {
  local home=$WORK/containerd
  need containerd ctr
  mkdir "$home"
  cat >"$home/config.toml" <<END
version = 2
root = "$home/root"
state = "$home/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
address = "$home/sock"
END
  containerd --config "$home/config.toml" >"$home/log" 2>&1 &
  started $!
  wait_for 60 ctr_e2e version || { tail -n 20 "$home/log" >&2; fail "containerd does not start"; }
}
ctr_e2e() { ctr --address "$WORK/containerd/sock" "$@"; }

# podman_in STORE and buildah_in STORE: with the containers/storage STORE, a name.
podman_in() {
  local store=$WORK/$1
  shift
  podman --root "$store/root" --runroot "$store/run" --storage-driver "$(storage_driver)" \
    --cgroup-manager cgroupfs --events-backend none --runtime runc "$@"
}
buildah_in() {
  local store=$WORK/$1
  shift
  buildah --root "$store/root" --runroot "$store/run" --storage-driver "$(storage_driver)" "$@"
}

# overlay, unless the kernel cannot stack it on this filesystem.
storage_driver() {
  if [[ ! -e $WORK/storage-driver ]]; then
    mkdir -p "$WORK/probe"/{lower,upper,work,merged}
    if mount -t overlay -o "lowerdir=$WORK/probe/lower,upperdir=$WORK/probe/upper,workdir=$WORK/probe/work" \
      none "$WORK/probe/merged" 2>/dev/null; then
      umount "$WORK/probe/merged"
      echo overlay >"$WORK/storage-driver"
    else
      echo vfs >"$WORK/storage-driver"
    fi
  fi
  cat "$WORK/storage-driver"
}

# ---- looking at a store --------------------------------------------------------------------------

# veneer_in STORE: veneer with the store STORE, a name.
veneer_in() {
  local store=$WORK/$1
  shift
  veneer --root "$store" "$@"
}

# image_facts IMAGE [STORE]: its ID and DiffIDs, one a line.
image_facts() {
  veneer_in "${2:-store}" inspect --type image -f '{{.Id}}{{range .RootFS.Layers}} {{.}}{{end}}' "$1" | tr ' ' '\n'
}

# store_files: every name in the store, with type, mode, size and digest; SQLite's journal is left out.
store_files() {
  (
    cd "$VENEER_ROOT"
    find . ! -name '*.db-wal' ! -name '*.db-shm' -printf '%p %y %m %s\n' | sort
    find . -type f ! -name '*.db-wal' ! -name '*.db-shm' -print0 | sort -z | xargs -0r sha256sum
  )
}

# expect_sound: `system check` finds nothing; expect_sound_in STORE.
expect_sound() { expect_sound_in store; }
expect_sound_in() {
  local said
  said=$(veneer_in "$1" system check 2>&1) || fail "system check: $said"
}
