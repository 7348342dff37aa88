#!/usr/bin/env bash
# What one worker of a pod does: prepare, start, report, places, stop SECONDS; run does all of it in the foreground, in a container.
# Lies beside code.tar.gz, config.gin, lock, mounted and, perhaps, secrets.env and setup.sh. Every word for the one who watches
# is a line "t0jax-worker NAME STATE". T0JAX_PYTHON names a Python that has everything installed already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
NAME=$(hostname)
PYTHON=${T0JAX_PYTHON:-$PWD/.venv/bin/python}

say() { echo "t0jax-worker $NAME $*"; }

places() {  # whether the shared folders are there
  while read -r folder; do
    if [ ! -d "$folder" ]; then say lacks "$folder"; return 1; fi
  done < mounted
}

prepare() {
  chmod 700 .
  if [ -f setup.sh ]; then bash setup.sh >&2; fi
  places || return 0
  rm -rf code && mkdir code && tar -xzf code.tar.gz -C code
  if [ -z "${T0JAX_PYTHON:-}" ] && ! cmp -s "code/requirements/$(cat lock)" .venv/installed; then
    rm -rf .tools .venv
    python3 -m pip install --quiet --target .tools --require-hashes --only-binary :all: -r code/requirements/tools.lock >&2
    .tools/bin/uv venv --quiet --python 3.11 .venv >&2
    .tools/bin/uv pip sync --quiet --require-hashes --build-constraints code/requirements/build.lock --python .venv/bin/python "code/requirements/$(cat lock)" >&2
    cp "code/requirements/$(cat lock)" .venv/installed
  fi
  say ready
}

train() {  # in the foreground; what it ends with is its file "status"
  rm -f status
  if [ -f secrets.env ]; then set -a; . ./secrets.env; set +a; fi
  export T0JAX_DISTRIBUTED=${T0JAX_DISTRIBUTED:-1} PYTHONPATH=$PWD/code PYTHONUNBUFFERED=1
  export JAX_COMPILATION_CACHE_DIR=${JAX_COMPILATION_CACHE_DIR:-$PWD/compiled}
  "$PYTHON" -m t0jax train --gin_file=config.gin &
  local trainer=$! code again=1
  echo $trainer > trainer
  trap "again=1; $1" TERM INT
  while [ $again = 1 ]; do  # a signal ends `wait`, not the trainer
    again=0 code=0
    wait $trainer || code=$?
  done
  echo $code > status.new && mv status.new status
}

start() {
  rm -f status pid trainer
  setsid nohup bash worker.sh background > log 2>&1 < /dev/null &
  echo $! > pid
  say running
}

report() {
  if [ -f status ]; then
    say ended "$(cat status)"
    if [ "$(cat status)" != 0 ] && [ -f log ]; then tail -n 12 log | sed "s/^/t0jax-log $NAME /"; fi
  elif [ ! -f pid ]; then say ready
  elif kill -0 "$(cat pid)" 2> /dev/null; then say running
  else say lost; fi  # the machine was started anew, or everything was killed
}

stop() {  # SIGTERM lets the trainer save
  if [ -f pid ] && kill -0 "$(cat pid)" 2> /dev/null; then
    if [ -f trainer ]; then kill -TERM "$(cat trainer)" 2> /dev/null || true; fi
    for _ in $(seq "$1"); do [ ! -f status ] && kill -0 "$(cat pid)" 2> /dev/null || break; sleep 1; done
    kill -KILL -- "-$(cat pid)" 2> /dev/null || true
  fi
  report
}

case $1 in
  prepare) prepare ;;
  start) start ;;
  report) report ;;
  places) places || true ;;
  stop) stop "$2" ;;
  background) train : ;;  # a machine that is shut down tells the trainer itself; told twice, it would not save
  run)
    prepare
    places
    train 'kill -TERM "$trainer" 2> /dev/null'  # a container's first process is told alone
    report
    exit "$(cat status)"
    ;;
esac
