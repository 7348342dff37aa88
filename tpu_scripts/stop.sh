#!/usr/bin/env bash
# Let the trainer save, delete everything, say what was deleted: tpu_scripts/stop.sh NAME
set -euo pipefail
exec t0jax launch stop --name="$1" "${@:2}"
