#!/usr/bin/env bash
# The command line as people who know Docker expect it: words in both forms, output, exit statuses, error lines.
# timeout: 300
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
need jq

quietly veneer load -i "$(small_image)"
id=$(veneer images -q --no-trunc)

# ---- images --------------------------------------------------------------------------------------
expect_eq "load's words" "Loaded image: veneer/small:latest" "$(veneer load -i "$(small_image)")"
expect_eq "load from standard input" "Loaded image: veneer/small:latest" "$(veneer load <"$(small_image)")"
expect_eq "the long form" "$(veneer images)" "$(veneer image ls)"
expect_eq "the table's head" "REPOSITORY TAG IMAGE ID CREATED SIZE" "$(veneer images | head -n 1 | tr -s ' ')"
expect_eq "a format" "veneer/small:latest" "$(veneer images --format '{{.Repository}}:{{.Tag}}')"
expect_eq "a table format" $'REPOSITORY     TAG\nveneer/small   latest' \
  "$(veneer images --format 'table {{.Repository}}\t{{.Tag}}')"
[[ $(veneer images --format json) == *'"Repository":"veneer/small"'* ]] || fail "images --format json"
veneer tag veneer/small localhost:5000/x/y:1.2
expect_eq "a tag is the same image" "$id" "$(veneer inspect -f '{{.Id}}' localhost:5000/x/y:1.2)"
expect_eq "by a prefix of the ID" "$id" "$(veneer image inspect -f '{{.Id}}' "${id:7:9}")"
expect_eq "a name as filter" "localhost:5000/x/y" "$(veneer images --format '{{.Repository}}' localhost:5000/x/y)"
expect_eq "the reference filter" "1.2" "$(veneer images --filter 'reference=*/x/y' --format '{{.Tag}}')"
expect_eq "RepoTags" '["veneer/small:latest","localhost:5000/x/y:1.2"]' "$(veneer inspect -f '{{json .RepoTags}}' veneer/small)"
[[ $(veneer inspect veneer/small) == '['*'"Id": "sha256:'*']' ]] || fail "inspect prints no list of documents"
expect_eq "a pattern as filter" "localhost:5000/x/y" "$(veneer images --format '{{.Repository}}' '*/x/*')"
expect_eq "a pattern of nothing" "" "$(veneer images -q 'small*')"
expect_eq "the whole name of an image" "veneer/small" \
  "$(veneer images --format '{{.Repository}}' docker.io/veneer/small)"
veneer tag veneer/small localhost:5000/x/y:1.3
repo_tags() { veneer save "$1" | tar -xOf - manifest.json | jq -c '.[0].RepoTags'; }
expect_eq "save of a repository" '["localhost:5000/x/y:1.2","localhost:5000/x/y:1.3"]' "$(repo_tags localhost:5000/x/y)"
expect_eq "save of a tag" '["localhost:5000/x/y:1.3"]' "$(repo_tags localhost:5000/x/y:1.3)"
quietly veneer rmi localhost:5000/x/y:1.3
expect_eq "one name less" "Untagged: localhost:5000/x/y:1.2" "$(veneer rmi localhost:5000/x/y:1.2)"

expect_error 1 '*No such image: nobody*' veneer history nobody
expect_error 1 '*No such image: nobody*' veneer tag nobody somebody
expect_error 1 '*must be lowercase*' veneer tag veneer/small Upper
expect_error 1 '*No such image: nobody*' veneer create nobody
expect_error 1 "*'*missing.tar'*" veneer load -i "$WORK/missing.tar"
expect_error 125 '*' veneer frobnicate
expect_error 125 '*' veneer images --no-such-option
expect_error 125 '*' veneer tag only-one
expect_error 125 '*' veneer save --format tar veneer/small
expect_error 125 '*invalid argument "nonsense"*' veneer images --filter nonsense
expect_error 125 "*invalid filter 'color'*" veneer images --filter color=red
expect_error 125 "*invalid filter 'color'*" veneer ps --filter color=red
expect_error 125 "*linux/ARCHITECTURE*" veneer load --platform arm64 -i "$(small_image)"
expect_error 1 '*No such image: sha256:no\\x0abody\\x1b\\x7f*' veneer history $'sha256:no\nbody\e\x7f'
expect_error 1 '*template parsing error*' veneer images --format '{{.Nope'
status=0
said=$(veneer inspect nobody 2>"$WORK/inspect.err") || status=$?
expect_eq "inspect of nothing" "1 [] veneer: No such object: nobody" "$status $said $(<"$WORK/inspect.err")"

# ---- containers ----------------------------------------------------------------------------------
container=$(veneer create --name box veneer/small)
[[ $container =~ ^[0-9a-f]{64}$ ]] || fail "create prints '$container'"
expect_error 1 '*Conflict. The container name "/box" is already in use*' veneer create --name box veneer/small
expect_error 1 '*Invalid container name (-x)*' veneer create --name=-x veneer/small
expect_eq "a fresh container's diff" "" "$(veneer diff box)"
expect_eq "ps" "box veneer/small Created" "$(veneer ps --format '{{.Names}} {{.Image}} {{.Status}}')"
expect_eq "ps in the long form" "box" "$(veneer container ps --format '{{.Names}}')"
expect_eq "fields without content" "0B|||0||" \
  "$(veneer ps --format json | jq -r '[.Size,.Labels,.Mounts,.LocalVolumes,.Networks,.Ports]|join("|")')"
[[ $(veneer ps --format '{{.Size}}') == *B\ \(virtual\ *B\) ]] || fail "ps's Size is $(veneer ps --format '{{.Size}}')"
[[ $(veneer ps -s | head -n 1) == *SIZE ]] || fail "ps -s has no SIZE"
expect_eq "the long form of ps" "$(veneer ps -aq --no-trunc)" "$(veneer container ls -q --no-trunc)"
mkdir "$WORK/mnt"
export WORK_MAPPED=$WORK/mapped
expect_error 1 "*no-such-dir*" veneer mount box "$WORK/no-such-dir"
expect_eq "mount with a path prints nothing" "" "$(veneer mount box "$WORK/mnt")"
expect_error 1 "*mounted at $WORK/mnt already*" veneer mount box /mnt
expect_eq "mount without a path says where it is" "$WORK/mnt" "$(veneer mount box)"
expect_eq "mounts" "${container:0:12} $WORK/mnt" "$(veneer mount)"
expect_eq "ps of a mounted one" "Mounted at $WORK/mnt" "$(veneer ps --format '{{.Status}}')"
expect_error 1 '*is mounted at*' veneer rm box

# A mapping that is still there, of a file that came from the image: a commit has what it changed.
python3 - "$WORK/mnt/bin/busybox" <<'END'
import mmap, os, subprocess, sys
fd = os.open(sys.argv[1], os.O_RDWR)
for byte in b"xyz":
    mapped = mmap.mmap(fd, 1 << 20)
    for at in range(0, 1 << 20, 4096):
        mapped[at + 100] = byte
    subprocess.run(["veneer", "commit", "box", "e2e/mapped"], check=True, stdout=subprocess.DEVNULL)
    os.makedirs(os.environ["WORK_MAPPED"], exist_ok=True)
    subprocess.run(["veneer", "mount", "--read-only", "e2e/mapped", os.environ["WORK_MAPPED"]], check=True)
    with open(os.environ["WORK_MAPPED"] + "/bin/busybox", "rb") as file:
        content = file.read(1 << 20)
    subprocess.run(["veneer", "umount", os.environ["WORK_MAPPED"]], check=True)
    lost = sum(content[at + 100] != byte for at in range(0, 1 << 20, 4096))
    if lost:
        sys.exit(f"{lost} mapped pages are not in the commit")
END
quietly veneer rmi e2e/mapped
quietly veneer system prune -f
veneer umount box >/dev/null
veneer rm box >/dev/null
container=$(veneer create --name box veneer/small)
veneer mount box "$WORK/mnt"

echo new >"$WORK/mnt/new"
echo more >>"$WORK/mnt/etc/passwd"
rm "$WORK/mnt/etc/issue"
mv "$WORK/mnt/usr/share/doc" "$WORK/mnt/usr/share/papers"
expect_eq "diff" "C /etc
D /etc/issue
C /etc/passwd
A /new
C /usr
C /usr/share
D /usr/share/doc
$(cd "$WORK/mnt" && find usr/share/papers | sort | sed 's|^|A /|')" "$(veneer container diff box)"

committed=$(veneer commit -m 'why it was made' -a 'Ann <ann@example.com>' -c 'CMD ["sh", "-c", "true"]' \
  -c 'ENV A=1 B="two words"' -c 'EXPOSE 80/tcp' -c 'LABEL made=here' -c 'ONBUILD RUN true' -c 'STOPSIGNAL SIGINT' \
  -c 'USER nobody' -c 'VOLUME /data' -c 'WORKDIR /srv' -c 'ENTRYPOINT ["/bin/sh"]' box e2e/made:1)
[[ $committed =~ ^sha256:[0-9a-f]{64}$ ]] || fail "commit prints '$committed'"
field() { veneer inspect -f "$1" e2e/made:1; }
expect_eq "the new ID" "$committed" "$(field '{{.Id}}')"
expect_eq "author" 'Ann <ann@example.com>' "$(field '{{.Author}}')"
expect_eq "comment" 'why it was made' "$(field '{{.Comment}}')"
expect_eq "Cmd" '["sh","-c","true"]' "$(field '{{json .Config.Cmd}}')"
expect_eq "Entrypoint" '["/bin/sh"]' "$(field '{{json .Config.Entrypoint}}')"
[[ $(field '{{json .Config.Env}}') == *'"A=1","B=two words"'* ]] || fail "Env is $(field '{{json .Config.Env}}')"
expect_eq "the other fields" '{"80/tcp":{}} {"made":"here"} ["RUN true"] SIGINT nobody {"/data":{}} /srv' \
  "$(field '{{json .Config.ExposedPorts}} {{json .Config.Labels}} {{json .Config.OnBuild}} {{.Config.StopSignal}} {{.Config.User}} {{json .Config.Volumes}} {{.Config.WorkingDir}}')"
expect_error 1 '*' veneer commit -c 'FROM scratch' box
expect_eq "without a reference the image has no name" '[]' \
  "$(veneer inspect -f '{{json .RepoTags}}' "$(veneer commit -m nameless box)")"
expect_eq "a dangling one" "1" "$(veneer images --filter dangling=true -q | wc -l)"

expect_eq "history's head" "IMAGE CREATED CREATED BY SIZE COMMENT" "$(veneer history e2e/made:1 | head -n 1 | tr -s ' ')"
expect_eq "history's newest row" "${committed:7:12}" "$(veneer history -q e2e/made:1 | head -n 1)"
expect_eq "history's older rows" "<missing>" "$(veneer history -q e2e/made:1 | tail -n 1)"
[[ $(veneer history -H=false e2e/made:1 | sed -n 2p) =~ 20[0-9][0-9]-[0-9][0-9]-[0-9][0-9]T ]] || fail "history -H=false"
expect_eq "history with a format" "why it was made" "$(veneer history --format '{{.Comment}}' e2e/made:1 | head -n 1)"

# ---- a container's filesystem as a tar, and back --------------------------------------------------
veneer export -o "$WORK/tree.tar" box
tar -tf "$WORK/tree.tar" >"$WORK/tree"
grep -qx 'new' "$WORK/tree" || fail "export has no 'new'"
grep -q '\.wh\.' "$WORK/tree" && fail "export has whiteouts"
veneer import -m imported -c 'CMD ["sh"]' "$WORK/tree.tar" e2e/flat >/dev/null
expect_eq "layers of an imported image" "1" "$(veneer inspect -f '{{len .RootFS.Layers}}' e2e/flat)"
mkdir "$WORK/flat"
veneer mount --read-only e2e/flat "$WORK/flat"
tree_listing.py "$WORK/mnt" --below --nlink >"$WORK/mounted"
tree_listing.py "$WORK/flat" --below --nlink >"$WORK/imported"
expect_same "the imported tree" "$WORK/mounted" "$WORK/imported"
expect_error 1 '*nothing.tar*' veneer import "$WORK/nothing.tar"
expect_error 1 '*digest reference*' veneer import "$WORK/tree.tar" "e2e/flat@$id"

# ---- output that is not finished leaves nothing ---------------------------------------------------
mkdir "$WORK/out"
echo before >"$WORK/out/kept.tar"
expect_error 1 '*No such image: nobody*' veneer save -o "$WORK/out/kept.tar" nobody
expect_eq "what failed to be saved over" before "$(<"$WORK/out/kept.tar")"
quietly veneer save -o "$WORK/out/kept.tar" veneer/small
quietly veneer load -i "$WORK/out/kept.tar"
for seconds in 0.01 0.02 0.05; do
  for signal in INT TERM; do
    timeout -s "$signal" "$seconds" veneer export -o "$WORK/out/export.tar" box 2>/dev/null || true
  done
done
ls "$WORK/out" >"$WORK/left"
grep -q '\.tmp-' "$WORK/left" && fail "left behind: $(<"$WORK/left")"
expect_error 1 "*cannot write '$WORK/none/x.tar': No such file or directory" veneer save -o "$WORK/none/x.tar" veneer/small

# ---- taking it all away --------------------------------------------------------------------------
expect_error 1 '*is using the image*' veneer rmi veneer/small
veneer umount "$WORK/mnt"
expect_error 1 '*is not mounted*' veneer umount box
# A mounted image's data stays while it is mounted, whatever is removed.
veneer rmi e2e/flat >/dev/null
# Without an answer prune does nothing.
veneer system prune </dev/null >/dev/null
echo n | veneer system prune >/dev/null
expect_eq "a dangling image that prune asked about" "1" "$(veneer images --filter dangling=true -q | wc -l)"
echo y | veneer system prune >/dev/null
expect_eq "a dangling image after prune" "0" "$(veneer images --filter dangling=true -q | wc -l)"
tree_listing.py "$WORK/flat" --below --nlink >"$WORK/again"
expect_same "a mounted image after rmi and prune" "$WORK/imported" "$WORK/again"
veneer umount "$WORK/flat"
expect_eq "rm" "box" "$(veneer rm box)"
expect_error 1 '*No such container: box*' veneer rm box
[[ $(veneer system df) == TYPE*Images*Containers*"Build Cache"*Unreachable* ]] || fail "system df"
expect_sound
expect_eq "rmi's words" "Untagged: veneer/small:latest
Deleted: $id" "$(veneer rmi veneer/small)"
quietly veneer rmi e2e/made:1
# A daemon that ends after its mount is gone keeps its layers until then.
no_lease() {
  local lease
  for lease in "$VENEER_ROOT"/leases/mounts/*; do
    if [[ -e $lease ]] && ! flock -n "$lease" true; then return 1; fi
  done
}
wait_for 30 no_lease || fail "a daemon does not end"
veneer system prune -af >/dev/null
expect_eq "what is left" "0" "$(find "$VENEER_ROOT/objects" "$VENEER_ROOT/layers" "$VENEER_ROOT/chains" -type f | wc -l)"
veneer version >/dev/null
expect_eq "the version" "veneer version $(veneer version --format '{{.Version}}')" "$(veneer --version)"
