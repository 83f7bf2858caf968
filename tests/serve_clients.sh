#!/bin/sh
# serve_clients.sh MINKE SOURCE_FOLDER: serve_clients.py with the packages that `./run test` keeps in cache/clients,
# or with those of python3 and node where there are none.
python=$2/cache/clients/venv/bin/python
[ -x "$python" ] || python=python3
export NODE_PATH="$2/cache/clients/node_modules${NODE_PATH:+:$NODE_PATH}"
exec "$python" "$(dirname "$0")/serve_clients.py" "$@"
