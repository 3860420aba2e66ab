#!/usr/bin/env bash
# Fuzzes every Fuzz target in turn, FUZZTIME each (10s by default). What breaks
# one is kept as a file under its package's testdata/fuzz: commit it.
set -euo pipefail
cd "$(dirname "$0")/.."

targets=$(grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed -E 's|^(.*)/[^/]+:func (.*)$|\1 \2|' | sort)
[ -n "$targets" ] || { echo "no Fuzz target found" >&2; exit 1; }
while read -r package target; do
	echo "$package $target"
	# Making each interesting input small would take longer than finding it.
	go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-10s}" -fuzzminimizetime 20x "$package" </dev/null
done <<<"$targets"
