#!/usr/bin/env bash
# Measures the benchmarks of the parts and writes bench/results/MACHINE.txt,
# which benchstat reads. Nothing else should run meanwhile.
#   COUNT   rounds          (6)
#   MACHINE the file's name (made of processor and system)
#   PKGS    packages        (./...), for a trial
set -euo pipefail
cd "$(dirname "$0")/.."

read -ra packages <<<"${PKGS:-./...}"
cpu=$(awk -F': *' '/^model name/ { print $2; exit }' /proc/cpuinfo 2>/dev/null || true)
cpu=${cpu:-$(uname -m)}
machine=${MACHINE:-$(printf '%s-%sx-%s' "$cpu" "$(nproc)" "$(go env GOOS)" | tr '[:upper:] ' '[:lower:]-' | tr -cd 'a-z0-9.-')}
out=bench/results/$machine.txt
work=$(mktemp)
trap 'rm -f "$work"' EXIT
{
  echo "processor: $cpu, $(nproc) CPUs"
  echo "system: $(uname -sr)"
  echo "go: $(go env GOVERSION)"
  echo "date: $(date -u +%F)"
  echo "commit: $(git rev-parse --short=12 HEAD)$(git diff --quiet HEAD -- '*.go' || echo ', and changes')"
  echo "load: $(cut -d' ' -f1-3 /proc/loadavg 2>/dev/null || echo unknown) before"
  echo
} >"$work"
# Packages one at a time: two at once would measure each other.
go test -p 1 -run '^$' -bench '^Benchmark' -benchmem -benchtime 200ms -count "${COUNT:-6}" "${packages[@]}" |
  grep -vE '^(ok|PASS|\?|FAIL$)|no test files' | tee -a "$work"
mkdir -p bench/results
cp "$work" "$out"
echo "bench-baseline: $out" >&2
