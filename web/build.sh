#!/bin/sh
# build.sh FOLDER: makes FOLDER/index.html, the whole page in one file. Needs the network only when the packages of
# package-lock.json are not yet in node_modules.
set -u
out=$1
cd "$(dirname "$0")" || exit 1
mkdir -p "$out"

# The page that stands in for the one that could not be built. Its age makes the next build try again.
missing() {
  echo "warning: the web page is not built: $1" >&2
  sed "s|REASON|$1|" missing.html >"$out/index.html" && touch -t 200001010000 "$out/index.html"
  exit 0
}

node=$(command -v node || command -v nodejs) || missing "Node.js is not installed (18 or newer; Debian: nodejs)"
"$node" -e 'process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)' || missing "Node.js is older than 18"
if ! cmp -s package-lock.json node_modules/installed-lock.json; then
  command -v npm >/dev/null || missing "npm is not installed (Debian: npm)"
  npm ci --ignore-scripts --no-audit --no-fund --prefer-offline --fetch-retries=1 --loglevel=error >"$out/npm.log" 2>&1 ||
    missing "npm could not fetch the page's packages; see $out/npm.log"
  cp package-lock.json node_modules/installed-lock.json
fi
"$node" node_modules/vite/bin/vite.js build --logLevel warn --outDir "$out" --emptyOutDir false
