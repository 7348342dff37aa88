#!/usr/bin/env bash
# From nothing to a finished run, through preemptions: tpu_scripts/run.sh NAME v5p-32 RECIPE.gin [flags of `t0jax launch run`]
set -euo pipefail
exec t0jax launch run --name="$1" --accelerator="$2" --gin_file="$3" "${@:4}"
