#!/usr/bin/env bash
# timeout: 600
# labels: long
# The conformance suite over the forms that an upper takes where the host allows less: as root of a user
# namespace, without trusted attributes, devices and passthrough; and with owners in an attribute.
# Whatever holds there for a plain directory holds for a mount.
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

# hold WAY EXCEPTIONS COMMAND...: the suite by COMMAND. EXCEPTIONS: cases that a mount need not pass.
hold() {
  local way=$1 exceptions=$2
  shift 2
  "$@" "$suite" --gtest_filter='*/Plain:*/MountStack:*/MountChain:-Long*' --gtest_brief=1 \
    --gtest_output="json:$WORK/$way.json" >"$WORK/$way.log" 2>&1 || true
  python3 - "$WORK/$way.json" "$way" "$exceptions" <<'END' || { tail -n 200 "$WORK/$way.log"; fail "$way: a mount does less than a directory"; }
import json, sys

outcome = {}
for suite in json.load(open(sys.argv[1]))["testsuites"]:
    for case in suite["testsuite"]:
        if case["result"] == "COMPLETED":
            name, _, kind = case["name"].rpartition("/")
            outcome[f'{suite["name"]}.{name}', kind] = "failures" not in case
mounts = {key: good for key, good in outcome.items() if key[1] != "Plain"}
good = sum(mounts.values())
worse = sorted(key for key, passed in mounts.items()
               if not passed and outcome.get((key[0], "Plain"), True) and key[0] not in sys.argv[3])
print(f"{sys.argv[2]}: {good} of {len(mounts)} cases hold; of the others, {len(worse)} would on a plain directory")
for name, kind in worse:
    print(f"on a {kind} only: {name}")
sys.exit(bool(worse) or good < 180)
END
}

hold namespace "" nsenter --user --mount --target "$holder" --setuid 0 --setgid 0

# The suite starts the program it was built with.
install -m 755 -D "$VENEER_BIN/veneerfs" "$WORK/bin/real-veneerfs"
printf '#!/bin/sh\nexec %s -o xattr_permissions=2 "$@"\n' "$WORK/bin/real-veneerfs" >"$WORK/bin/veneerfs"
chmod 755 "$WORK/bin/veneerfs"
mount --bind "$WORK/bin/veneerfs" "$VENEER_BIN/veneerfs"
# There are no ACLs.
hold attribute "Each/Owner.DefaultAclReplacesTheUmask Each/Owner.ChmodChangesTheMaskOfAnAcl" env
umount "$VENEER_BIN/veneerfs"
