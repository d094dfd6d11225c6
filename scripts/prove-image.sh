#!/usr/bin/env bash
# Builds the container image as the Dockerfile says, and tries it: scripts/prove-image.sh
# For machines that reach no registry of images. Debian's packages build it (podman, without a daemon), and in the place of
# node:24-trixie-slim stands the same made of Debian 13 and the npm packages of Node 24. Needs root and 5 GB in TMPDIR; takes up to
# ten minutes. Ends with 0 when all holds; leaves the Debian packages podman, runc and debootstrap, and nothing else.
# With TEST_DATABASE_URL (npm run build && scripts/with-postgres.sh scripts/prove-image.sh) the container is tried on that Postgres, too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

BASE=docker.io/library/node:24-trixie-slim
READY_DEADLINE_S=60
# As long as docs/production.md gives the server to end.
STOP_GRACE_S=90

scratch="$(mktemp -d)"
# Its images and containers are in the scratch folder. Limits below what any machine allows: podman's own may be above.
podman=(podman --root "$scratch/store" --runroot "$scratch/run" --tmpdir "$scratch/tmp" --cgroup-manager cgroupfs --runtime runc --log-level fatal)
limits=(--ulimit nofile=4096:4096 --ulimit nproc=4096:4096)
# Nothing but /data and /tmp can be written, and nothing is allowed but to serve.
confined=(--read-only --read-only-tmpfs=false --tmpfs /tmp --cap-drop all --security-opt no-new-privileges --memory 2g)

had_network_folder=false
if mountpoint -q /run/netns; then had_network_folder=true; fi

clean_up() {
  "${podman[@]}" rm --all --force --time 0 >/dev/null 2>&1 || true
  umount "$scratch/store/overlay" 2>/dev/null || true
  "$had_network_folder" || umount /run/netns 2>/dev/null || true
  rm -rf "$scratch"
}
trap clean_up EXIT

fail() {
  printf 'prove-image: %s\n' "$*" >&2
  exit 1
}

told() { printf '%4d s  %s\n' "$SECONDS" "$*"; }

# Debian 13, Node 24 and its npm, and the user node: what the Dockerfile relies on of the official image.
make_base() {
  local root="$scratch/base" modules
  modules="$(dirname "$(dirname "$(dirname "$(scripts/with-node.sh 24 sh -c 'readlink -f "$(command -v npm)"')")")")"
  debootstrap --variant=minbase trixie "$root" >"$scratch/debootstrap.log" 2>&1 || fail "$(tail -n 20 "$scratch/debootstrap.log")"
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
  install -D "$modules"/node-linux-*/bin/node "$root/usr/local/bin/node"
  mkdir -p "$root/usr/local/lib/node_modules"
  cp -r "$modules/npm" "$root/usr/local/lib/node_modules/npm"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
  chroot "$root" groupadd --gid 1000 node
  chroot "$root" useradd --uid 1000 --gid node --create-home node
  tar -C "$root" -c . | "${podman[@]}" import --change 'CMD ["node"]' - "$BASE" >/dev/null 2>&1
  rm -rf "$root"
}

build() {
  local trust=()
  # A machine's own certificate authority counts for npm during the build, and is not in the image.
  if [ -n "${NODE_EXTRA_CA_CERTS:-}" ]; then
    echo 'cafile=/etc/ssl/certs/ca-certificates.crt' >"$scratch/npmrc"
    trust=(--volume "$NODE_EXTRA_CA_CERTS:/etc/ssl/certs/ca-certificates.crt:ro" --volume "$scratch/npmrc:/usr/local/etc/npmrc:ro")
  fi
  # The format that has a HEALTHCHECK.
  "${podman[@]}" build --format docker --isolation chroot --network host --pull-never ${trust[@]+"${trust[@]}"} -t bvrai . \
    >"$scratch/build.log" 2>&1 || fail "$(tail -n 40 "$scratch/build.log")"
}

run() { "${podman[@]}" run "${limits[@]}" "${confined[@]}" "$@"; }

look_inside() {
  local development
  mapfile -t development < <(node -p 'Object.entries(require("./package-lock.json").packages).filter(([, { dev }]) => dev).map(([name]) => name).join("\n")')
  [ "${#development[@]}" -gt 1 ] || fail 'package-lock.json has no packages for development'
  run --rm -i --network none bvrai node --input-type=module - "${development[@]}" <scripts/prove-image-contents.mjs ||
    fail 'the image does not hold what it should'
}

refuses_a_wrong_setting() {
  local outcome=0
  run --rm --network none -e PORT=eighty bvrai >"$scratch/refusal" 2>&1 || outcome=$?
  [ "$outcome" -eq 1 ] && grep -q 'PORT="eighty"' "$scratch/refusal" || fail "PORT=eighty: exit code $outcome, $(cat "$scratch/refusal")"
}

logs_of() { "${podman[@]}" logs "$1" 2>&1; }

# until_in CONTAINER COMMAND…: waits until the command succeeds.
until_in() {
  local end=$((SECONDS + READY_DEADLINE_S))
  until "${@:2}"; do
    [ "$SECONDS" -lt "$end" ] || fail "$1: not within $READY_DEADLINE_S s: ${*:2}; $(logs_of "$1" | tail -n 20)"
    sleep 0.2
  done
}

# What the image itself calls health.
is_healthy() { "${podman[@]}" healthcheck run "$1" >/dev/null 2>&1; }
is_ready() { curl -sf "http://127.0.0.1:$port/health/ready" >/dev/null; }
has_logged() { [ -n "$(logs_of "$1")" ]; }
is_heard() { grep -qs 'agent    is heard' "$1"; }

stop_cleanly() {
  local code
  "${podman[@]}" stop --time "$STOP_GRACE_S" "$1" >/dev/null
  code="$("${podman[@]}" inspect --format '{{.State.ExitCode}}' "$1")"
  [ "$code" -eq 0 ] || fail "$1 ended with $code: $(logs_of "$1" | tail -n 20)"
  # What native code writes there is in no log line's form.
  "${podman[@]}" logs "$1" 2>"$scratch/stderr" >"$scratch/log"
  [ ! -s "$scratch/stderr" ] || fail "$1 wrote to stderr: $(cat "$scratch/stderr")"
  "${podman[@]}" rm "$1" >/dev/null
}

# The variables of .env.example are all there and all empty: what is absent from the environment is not what is empty in it.
runs_without_network() {
  run -d --name alone --network none -v /data --env-file .env.example bvrai >/dev/null
  until_in alone is_healthy alone
  stop_cleanly alone
}

# As the first process of its container it gets only those signals that it listens to.
stops_while_it_starts() {
  run -d --name early --network none -v /data bvrai >/dev/null
  until_in early has_logged early
  stop_cleanly early
}

start() {
  run -d --name server --network host -e PORT="$port" -e MEDIA_PORT="$media_port" -v bvrai-data:/data "$@" bvrai >/dev/null
  until_in server is_ready
  until_in server is_healthy server
}

ring() { node dist/bench/phone/main.js --url "http://127.0.0.1:$port" --agent front-desk --say bench/demo/questions/opening-hours.wav "$@"; }

calls_kept() {
  local key
  key="$(cat "$("${podman[@]}" volume inspect --format '{{.Mountpoint}}' bvrai-data)/local-api-key")"
  curl -sf -H "Authorization: Bearer $key" "http://127.0.0.1:$port/api/v1/calls" | node -p 'JSON.parse(require("fs").readFileSync(0, "utf8")).items.length'
}

# A call before the server is told to stop, one meanwhile, and both are there after the next start.
serves_and_ends() {
  local call
  start "$@"
  told "ready, $("${podman[@]}" stats --no-stream --format '{{.MemUsage}}' server) in use"
  logs_of server | grep '"media sockets"'
  ring --barge-in bench/demo/questions/parking.wav | tail -n 4
  ring >"$scratch/drained" &
  call=$!
  until_in server is_heard "$scratch/drained"
  stop_cleanly server
  wait "$call" || fail "the call that was in progress was not let go on: $(cat "$scratch/drained")"
  start "$@"
  [ "$(calls_kept)" -eq 2 ] || fail "of two calls $(calls_kept) are there after another start"
  stop_cleanly server
}

[ "$(uname -s)" = Linux ] && [ "$(id -u)" -eq 0 ] || fail 'needs Linux and root, to make and enter file systems'
scripts/ci-packages.sh podman=podman runc=runc debootstrap=debootstrap curl=curl
node scripts/bootstrap.mjs --build
read -r port media_port <<<"$(node -e '
  const servers = [0, 0].map((port) => require("net").createServer().listen(port, "127.0.0.1"));
  setTimeout(() => { console.log(servers.map((server) => server.address().port).join(" ")); servers.map((server) => server.close()); }, 100);')"
make_base
told 'a stand-in for the base image is made'
build
told "built: $("${podman[@]}" images --format '{{.Repository}}:{{.Tag}} {{.Size}}' --filter dangling=false | tr '\n' ' ')"
look_inside
told 'it holds what it should, and nothing else'
refuses_a_wrong_setting
told 'a wrong setting ends it with 1 and its reason'
runs_without_network
told 'it is healthy and ends with all variables empty and without network'
stops_while_it_starts
told 'it can be stopped while it starts'
serves_and_ends
told 'on the embedded database it answers calls, drains, and keeps its records'
if [ -n "${TEST_DATABASE_URL:-}" ]; then
  "${podman[@]}" volume rm bvrai-data >/dev/null
  serves_and_ends -e DATABASE_URL="$TEST_DATABASE_URL"
  told 'and so it does on Postgres'
fi
