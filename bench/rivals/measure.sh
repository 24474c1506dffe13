#!/usr/bin/env bash
# measure.sh DIR: installs the rivals into DIR if they are not there, and
# measures them beside llm-proxy and nginx: whole answers, then streams, in
# four minutes. Exit code 1: something answered wrongly.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
mkdir -p "$1"
dir=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."

[ -d "$dir/portkey/node_modules" ] || bench/rivals/install.sh "$dir"
for load in whole stream; do
  go run ./bench/compare -load "$load" -rival floor,portkey -rivals "$dir" -rounds 3 -warm 2s -time 4s -json "$dir/$load.json"
  echo
done
