#!/usr/bin/env bash
# How a run stands, what its workers say, what it has used up: tpu_scripts/status.sh NAME
set -euo pipefail
exec t0jax launch status --name="$1" "${@:2}"
