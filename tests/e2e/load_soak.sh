#!/usr/bin/env bash
# Sixty-four threads on one mount, of each kind of lower, for minutes; tests/fs/load_test.cc says what must hold.
# labels: long
# timeout: 900
# shellcheck source=lib.sh
source "$(dirname "$0")/lib.sh"

export VENEER_LOAD_SECONDS=120
quietly fs_test --gtest_filter='Each/Load.*-*Plain'
