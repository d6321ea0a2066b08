#!/usr/bin/env bash
# timeout: 300
# An image of a million entries loads in 128 MiB.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
[[ -x /usr/bin/time ]] || fail "it needs /usr/bin/time; scripts/setup --test installs it"

readonly LIMIT=131072 ENTRIES=1000000

started=$SECONDS
many_entries.py $ENTRIES | /usr/bin/time -f %M -o "$WORK/memory" veneer load -q >"$WORK/said"
took=$((SECONDS - started))
expect_eq "what is said" "Loaded image: e2e/many:1" "$(<"$WORK/said")"
memory=$(tail -n 1 "$WORK/memory")
echo "loading $ENTRIES entries took $took s and $memory KiB"
((memory <= LIMIT)) || fail "loading $ENTRIES entries took $memory KiB, more than $LIMIT"

quietly veneer system check --quick
