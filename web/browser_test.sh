#!/bin/sh
# browser_test.sh MINKE CHROMIUM FOLDER: drives the page in Chromium; screenshots go to FOLDER. 77 (skipped) where a
# part is missing.
for part in node "$2"; do
  command -v "$part" >/dev/null || {
    echo "skipped: ${part%-NOTFOUND} is not installed (Debian: nodejs, chromium)"
    exit 77
  }
done
here=$(cd "$(dirname "$0")" && pwd)
[ -f "$here/node_modules/installed-lock.json" ] || {
  echo "skipped: the page's packages are not installed; the build fetches them where npm is"
  exit 77
}
MINKE=$1 CHROMIUM=$(command -v "$2") SCREENSHOTS=$3 SOURCE=$(dirname "$here") exec node --test "$here/test/browser/page.test.mjs"
