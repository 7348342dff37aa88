#!/usr/bin/env bash
# What the first worker says from now on: tpu_scripts/logs.sh NAME
set -euo pipefail
exec t0jax launch logs --follow --name="$1" "${@:2}"
