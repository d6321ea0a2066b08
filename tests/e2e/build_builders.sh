#!/usr/bin/env bash
# Every third case of the corpus with BuildKit and buildah themselves: they still do what was recorded, and differ only where it
# is said that they do.
# labels: long
# timeout: 1800
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"
need python3 git busybox dockerd docker buildah xz bzip2

python3 "$VENEER_SOURCE/tests/build/corpus" --builder buildkit --builder buildah --sample 3 --jobs "$(nproc)"
expect_eq "left in the temporary folder" "" "$(find "$TMPDIR" -mindepth 1)"
