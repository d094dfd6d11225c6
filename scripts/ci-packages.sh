#!/usr/bin/env bash
# Installs the Debian packages that this machine lacks, given as COMMAND=PACKAGE pairs; by default those that CI needs.
# Git comes with the checkout and Node with the machine; everything else the project takes from npm.
set -euo pipefail

needed=(git=git)
[ $# -eq 0 ] || needed=("$@")

missing=()
for pair in "${needed[@]}"; do
  command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "no Debian package is missing"
  exit 0
fi
echo "installing ${missing[*]}"
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"
