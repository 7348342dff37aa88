# Each target sets up all it needs: Python 3.11 and nothing else. `make lock` alone changes requirements/.
PYTHON ?= $(shell for python in python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && { echo $$python; break; }; done)
UV := .tools/bin/uv
COMPILE := $(UV) pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --override requirements/overrides.txt
SYNC := $(UV) pip sync -q --require-hashes --build-constraints requirements/build.lock

# The numbers wing's suite is mostly compilation of small programs: without LLVM's optimizations 202 s of CPU instead of 292
# (test_steps, test_model, test_loop and test_golden_t5x).
COMPILE_FAST := XLA_FLAGS="--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"

.PHONY: setup demo test lint bench lock clean
setup: .venv/.ready
demo: setup
	.venv/bin/t0jax demo
test: setup .venv-numbers/.ready
	.venv/bin/python -m pytest -n 2 --dist loadfile tests/words tests/house tests/pods tests/numbers/test_train_command.py
	$(COMPILE_FAST) .venv-numbers/bin/python -m pytest -n 2 --dist loadfile tests/numbers
lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
bench: setup
	@for file in benchmarks/*.py; do .venv/bin/python $$file || exit 1; done

$(UV): requirements/tools.lock
	@test -n "$(PYTHON)" || { echo "t0jax needs Python 3.11: none was found as python3.11 or python3. Give its path: make PYTHON=..."; exit 1; }
	rm -rf .tools
	$(PYTHON) -m venv .tools
	.tools/bin/python -m pip install -q --require-hashes --only-binary :all: -r requirements/tools.lock
	@touch $@
.venv/.ready: $(UV) requirements/dev.lock requirements/build.lock pyproject.toml
	$(UV) venv -q --clear --python $(PYTHON) .venv
	$(SYNC) --python .venv/bin/python requirements/dev.lock
	$(UV) pip install -q --python .venv/bin/python --no-deps --no-build-isolation -e .
	@touch $@
.venv-numbers/.ready: $(UV) requirements/numbers.lock requirements/build.lock
	$(UV) venv -q --clear --python $(PYTHON) .venv-numbers
	$(SYNC) --python .venv-numbers/bin/python requirements/numbers.lock
	@touch $@
lock: $(UV)
	for name in tools build numbers tpu dev; do $(COMPILE) requirements/$$name.in -o requirements/$$name.lock || exit 1; done
clean:
	rm -rf .venv .venv-numbers .tools
