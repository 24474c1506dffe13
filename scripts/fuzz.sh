#!/usr/bin/env bash
# Runs every fuzz target for a while: scripts/fuzz.sh 30s [PACKAGES]
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-30s}
shift || true

found=0
for package in $(go list "${@:-./...}"); do
  for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
    echo "fuzz: $package $target for $time"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package"
    found=$((found + 1))
  done
done
echo "fuzz: $found targets"
