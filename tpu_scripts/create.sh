#!/usr/bin/env bash
# Ask for slices and come back: tpu_scripts/create.sh NAME v5p-32 RECIPE.gin [flags of `t0jax launch create`]
set -euo pipefail
exec t0jax launch create --name="$1" --accelerator="$2" --gin_file="$3" "${@:4}"
