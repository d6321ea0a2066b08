#!/usr/bin/env bash
# timeout: 300
# The conformance suite where the kernel allows less: as root of a user namespace, without trusted
# attributes, devices and passthrough. Whatever holds there for a plain directory holds for a mount.
# shellcheck source=private_machine_lib.sh
source "$(dirname "$0")/private_machine_lib.sh"
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

# A namespace in which the first 65536 identifiers are themselves.
unshare --user --mount sleep infinity &
holder=$!
started "$holder"
wait_for 10 test -e "/proc/$holder/ns/user"
until [[ $(readlink "/proc/$holder/ns/user") != "$(readlink /proc/self/ns/user)" ]]; do sleep 0.05; done
echo "0 0 65536" >"/proc/$holder/uid_map"
echo "0 0 65536" >"/proc/$holder/gid_map"

suite=$VENEER_BIN/conformance_test
[[ -x $suite ]] || fail "it needs $suite"
nsenter --user --mount --target "$holder" --setuid 0 --setgid 0 \
  "$suite" --gtest_filter='*/Plain:*/MountStack:*/MountChain:-Long*' --gtest_brief=1 \
  --gtest_output="json:$WORK/results.json" >"$WORK/log" 2>&1 || true

python3 - "$WORK/results.json" <<'END' || { tail -n 200 "$WORK/log"; fail "a mount does less than a directory"; }
import json, sys

outcome = {}
for suite in json.load(open(sys.argv[1]))["testsuites"]:
    for case in suite["testsuite"]:
        if case["result"] == "COMPLETED":
            name, _, kind = case["name"].rpartition("/")
            outcome[f'{suite["name"]}.{name}', kind] = "failures" not in case
mounts = {key: good for key, good in outcome.items() if key[1] != "Plain"}
worse = sorted(key for key, good in mounts.items() if not good and outcome.get((key[0], "Plain"), True))
good = sum(mounts.values())
print(f"{good} of {len(mounts)} cases hold; the others do not on a plain directory either: "
      f"{len(mounts) - good - len(worse)}")
for name, kind in worse:
    print(f"on a {kind} only: {name}")
sys.exit(bool(worse) or good < 180)
END
