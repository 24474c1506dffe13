#!/usr/bin/env bash
# install.sh DIR: installs the gateways that bench/compare can be told to
# measure beside llm-proxy, at fixed versions, into DIR (outside this tree).
# Needs Node 20 and npm.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
mkdir -p "$1"
cd "$1"

# Portkey asks for @hono/node-server ^1.3.3. With 1.19.19, which that finds
# today, every streamed answer is a 500 ("TypeError: immutable"), so the oldest
# that it allows is installed; bench/README.md says so.
mkdir -p portkey
cat >portkey/package.json <<'JSON'
{"private": true, "dependencies": {"@portkey-ai/gateway": "1.15.2"}, "overrides": {"@hono/node-server": "1.3.3", "hono": "4.13.19"}}
JSON
npm install --prefix portkey --ignore-scripts --no-audit --no-fund
echo "install.sh: portkey is in $PWD/portkey"
