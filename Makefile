# The habits of this project. Every target works from a fresh clone; the first one builds .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export OMP_NUM_THREADS ?= 2

.PHONY: help demo docs test test-slow fuzz test-vllm test-gymnasium example lint bench interruptions findings leaderboard board clean
help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

$(STAMP): pyproject.toml setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --upgrade pip
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	touch $@

demo: $(STAMP)  ## train, calibrate, compare: runs/demo/demo.html
	$(BIN)/python -m studies.demo --out runs/demo

$(VENV)/.docs: $(STAMP)
	$(BIN)/pip install -q -c constraints.txt -e '.[docs]'
	touch $@

docs: $(VENV)/.docs  ## the site, its tutorials executed: docs/_build/html/index.html
	$(BIN)/python -m sphinx -b html -W --keep-going -q docs docs/_build/html

test: $(STAMP)  ## the test suite
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 3 --dist loadfile -m "not slow and not vllm"

test-slow: $(STAMP)  ## the few tests that take minutes by nature
	$(BIN)/pytest -m slow

fuzz: $(STAMP)  ## 10,000 mutated inputs for every reader of files and answers, with counts: runs/fuzz.xml
	FUZZ_EXAMPLES=10000 OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --timeout 3600 -o junit_family=xunit1 --junitxml runs/fuzz.xml tests/fuzz

test-vllm:  ## tests that need vLLM, with VLLM_PYTHON=an environment that has it and GSR_MODELS=a folder of models
	$(VLLM_PYTHON) -m pytest -m vllm tests/generators/test_vllm_engine.py

LOWEST := $(shell sed -n 's/^dependencies = .*"gymnasium>=\([0-9.]*\),.*/\1/p' pyproject.toml)
test-gymnasium:  ## the tests of the environments with the lowest Gymnasium that pyproject.toml allows, in build/gymnasium
	$(PYTHON) -m venv build/gymnasium
	grep -v '^gymnasium==' constraints.txt > build/gymnasium/constraints.txt
	build/gymnasium/bin/pip install -q -c build/gymnasium/constraints.txt -e '.[agents]' 'gymnasium==$(LOWEST).*' 'pytest>=8' 'pytest-timeout>=2.3' 'hypothesis>=6.110'
	OMP_NUM_THREADS=1 build/gymnasium/bin/python -m pytest -m "not slow" -p no:cacheprovider tests/envs

STEPS ?= 50000
example:  ## one library's example, in an environment of its own: make example NAME=torchrl STEPS=50000
	$(PYTHON) -m venv build/example-$(NAME)
	grep -v '^gymnasium==' constraints.txt > build/example-$(NAME)/constraints.txt
	build/example-$(NAME)/bin/pip install -q -c build/example-$(NAME)/constraints.txt -e '.[agents]' -r examples/with_$(NAME).txt
	if [ -f examples/with_$(NAME).nodeps.txt ]; then build/example-$(NAME)/bin/pip install -q --no-deps -r examples/with_$(NAME).nodeps.txt; fi
	OMP_NUM_THREADS=1 build/example-$(NAME)/bin/python examples/with_$(NAME).py --steps $(STEPS)

lint: $(STAMP)  ## ruff, mypy, and the layers of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf build/typecheck && $(BIN)/pip install -q --no-deps --target build/typecheck .
	cd build/typecheck && ../../$(BIN)/mypy --config-file ../../pyproject.toml -p gym_stepwise_routing
	cd build/typecheck && ../../$(BIN)/lint-imports ../../pyproject.toml

bench: $(STAMP)  ## speed, as ratios against what users know
	@for file in benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

interruptions: $(STAMP)  ## kills, full disks and second processes, with counts: runs/interruptions.json; no part of CI
	mkdir -p runs
	$(BIN)/python tests/tools/interruptions.py --kills 50 --out runs/interruptions.json

findings:  ## what other libraries really do, each script in turn; downloads packages, no part of CI
	@failed=; for file in findings/*.sh; do echo "== $$file"; bash $$file || failed="$$failed $$file"; done; \
	if [ -n "$$failed" ]; then echo "changed or failed:$$failed"; exit 1; fi

leaderboard: $(STAMP)  ## play the board's own rows anew and build the site: runs/leaderboard/index.html
	$(BIN)/stepwise-routing leaderboard refresh
	$(BIN)/stepwise-routing leaderboard build --out runs/leaderboard

board: $(STAMP)  ## verify every entry of every track, its router run again: runs/leaderboard/index.html
	$(BIN)/stepwise-routing leaderboard build --out runs/leaderboard

clean:  ## remove what the targets made
	rm -rf $(VENV) build runs docs/_build docs/generated docs/gallery
