#!/usr/bin/env bash
# timeout: 300
# scripts/bench measures, with a busybox for an image and files of a few kilobytes: every target, with and
# without privileges; figures, table and plots are written; what fails is one line, and the rest goes on.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
need busybox fuse-overlayfs mkfs.xfs mkfs.btrfs python3
[[ -x $VENEER_BIN/veneer_bench_worker ]] || fail "it needs $VENEER_BIN/veneer_bench_worker"

bench=("$VENEER_SOURCE/scripts/bench" --bin "$VENEER_BIN" --small --rounds 1 --largest 64K --cache "$WORK/cache")

# missing ROWS TARGETS: those that results.json has no figure for.
missing() {
  python3 - "$WORK/docs/performance/results.json" "$1" "$2" <<'PYTHON'
import json, sys
rows = json.load(open(sys.argv[1], encoding="utf-8"))["rows"]
for row in sys.argv[2].split(";"):
    for target in sys.argv[3].split():
        values = rows.get(row, {}).get("values", {}).get(target)
        if not values or not all(value > 0 for value in values):
            print(f"{row} on {target}")
PYTHON
}

mkdir "$WORK/docs"
cp "$VENEER_SOURCE/docs/performance.md" "$WORK/docs"
quietly "${bench[@]}" --mode unprivileged --write --docs "$WORK/docs" --workload '^walk, cold' --workload '^create' \
  --workload '^first write' --workload 'copies up$' --target 'veneerfs-*' --target overlayfs --target ext4 --target fuse-overlayfs
expect_eq "missing" "" "$(missing "walk, cold;create 5,000 files;first write to a lower file of 4KiB;\
first write to a lower file of 64KiB, on xfs;first write to a lower file of 64KiB, on btrfs;\
lookup while 64KiB copies up, p50" \
  "ext4 overlayfs fuse-overlayfs veneerfs-store veneerfs-stack veneerfs-store/unprivileged veneerfs-stack/unprivileged")"
grep -q '^| walk, cold | .* ms (1.00) | ' "$WORK/docs/performance.md" || fail "the table is not in performance.md"
for plot in copy-up throughput; do
  python3 -c 'import sys, xml.dom.minidom as dom; dom.parse(sys.argv[1])' "$WORK/docs/performance/$plot.svg" ||
    fail "$plot.svg is not XML"
done
echo "measuring: good"

quietly "${bench[@]}" --json "$WORK/docs/performance/results.json" --workload '^tool: load the' --workload '^tool: diff' --target veneer
expect_eq "missing" "" "$(missing "tool: load the Debian image;tool: diff of one new file" veneer)"
expect_eq "missing of the earlier run" "" "$(missing "walk, cold" ext4)"
echo "tools: good"

status=0
"${bench[@]}" --json "$WORK/docs/performance/broken.json" --workload '^untar' --target broken --target ext4 \
  --peer broken=/bin/false >"$WORK/out" 2>"$WORK/err" || status=$?
expect_eq "the status when a target fails" 1 "$status"
grep -q '^bench: failed: untar of 6,000 files, on broken: /bin/false does not mount' "$WORK/err" || fail "it says: $(<"$WORK/err")"
grep -q '^untar of 6,000 files .*ext4 ' "$WORK/out" || fail "the rest did not go on: $(<"$WORK/out")"
expect_eq "left in the cache" "" "$(find "$WORK/cache" -name 'veneer-bench.*')"
expect_eq "left mounted" "" "$(mounts_below)"
echo "a target that fails: good"
