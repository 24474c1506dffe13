#!/usr/bin/env bash
# Builds the program twice, from copies of this tree in two folders of different
# names, as make build does, and compares: the same source must make the same
# bytes wherever it lies. Prints the SHA-256 of both.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
mkdir "$work/one" "$work/two-with-a-longer-name"
# The second is a copy of the first: the tree may change meanwhile.
tar --exclude=./.git --exclude=./bin --exclude=./dist --exclude=./data --exclude=node_modules -cf - . | tar -xf - -C "$work/one"
cp -R "$work/one/." "$work/two-with-a-longer-name"

for folder in "$work"/*; do
  make -s -C "$folder" build VERSION=reproducible
done
sha256sum "$work"/*/bin/llm-proxy | sed "s|$work/||"
cmp "$work/one/bin/llm-proxy" "$work/two-with-a-longer-name/bin/llm-proxy"
echo "reproducible: the same bytes"
