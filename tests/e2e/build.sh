#!/usr/bin/env bash
# timeout: 300
# The corpus (tests/build/corpus), built with Veneer: every case gives the files, config and history that BuildKit's
# gave when it was recorded, or fails as it should. Afterwards nothing is mounted, and the store is sound.
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
need python3 git busybox xz bzip2

python3 "$VENEER_SOURCE/tests/build/corpus" --builder veneer --jobs "$(nproc)"
expect_eq "left in the temporary folder" "" "$(find "$TMPDIR" -mindepth 1)"
