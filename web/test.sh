#!/bin/sh
# Checks the page's types and runs its unit tests; 77 (skipped) where the packages are not installed.
cd "$(dirname "$0")" || exit 1
if ! command -v node >/dev/null || ! [ -f node_modules/installed-lock.json ]; then
  echo "skipped: Node.js or the page's packages are missing; the build fetches them"
  exit 77
fi
node node_modules/typescript/bin/tsc --noEmit && node node_modules/vitest/vitest.mjs run
