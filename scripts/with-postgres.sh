#!/usr/bin/env bash
# Runs a command with TEST_DATABASE_URL: scripts/with-postgres.sh npx vitest run tests/control
# Without a Postgres that answers there, it starts one from the machine's binaries, installed from Debian if there are
# none, on a free port in a temporary directory, and stops it afterwards.
set -euo pipefail
here="$(dirname "${BASH_SOURCE[0]}")"

if [ -z "${TEST_DATABASE_URL:-}" ] && ! command -v initdb >/dev/null && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
  "$here/ci-packages.sh" initdb=postgresql >&2
fi
exec "$here/../node_modules/.bin/tsx" "$here/../tests/support/with-postgres.ts" "$@"
