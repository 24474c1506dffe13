#!/usr/bin/env bash
# Runs every fuzz target for a while: scripts/fuzz.sh 30s [PACKAGES]
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-30s}
shift || true

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# run PACKAGE TARGET. On a busy machine go test may take its own time limit for
# a failure ("context deadline exceeded" and no input): that is none.
run() {
  go test -run '^$' -fuzz "^$2\$" -fuzztime "$time" "$1" 2>&1 | tee "$log" && return
  grep -q 'context deadline exceeded' "$log" && ! grep -qE 'Failing input|panic:|WARNING: DATA RACE' "$log"
}

found=0
for package in $(go list "${@:-./...}"); do
  for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
    echo "fuzz: $package $target for $time"
    run "$package" "$target"
    found=$((found + 1))
  done
done
echo "fuzz: $found targets"
