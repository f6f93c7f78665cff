# One command per job; CI calls the same ones. `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help
.PHONY: help run world test check lint types golden dashboards deb bench lock debian clean

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

run: .venv/ready ## one collector and one agent on this machine, a live table; TARGETS="host:port@FRA …" HERE=FRA
	@$(BIN)/python deploy/local.py $(if $(HERE),--here "$(HERE)") $(TARGETS)

world: .venv/ready debian ## five cities in network namespaces with emulated delays (root), page left open
	@PYTHONPATH=tests:. $(BIN)/python tests/lab/five_cities.py

test: .venv/ready debian ## every test that this machine can run
	@$(BIN)/python -m pytest -n 2 --dist loadfile

check: lint types test ## what a change must pass

lint: .venv/ready ## style and format
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: .venv/ready ## strict typing
	@$(BIN)/mypy

golden: .venv/ready ## rewrite generated docs and golden files; review them in the diff
	@PYTHONPATH=.:tests $(BIN)/python -m regenerate

dashboards: .venv/ready ## build dashboards/json, which Grafana reads, from dashboards/*.py
	@$(BIN)/python -m dashboards

deb: .venv/ready ## Debian packages of both programs into run/packages; see deploy/package/deb.sh
	@deploy/package/deb.sh agent && deploy/package/deb.sh collector

bench: .venv/ready debian ## the figures, as ratios within one run
	@$(BIN)/python -m pytest -m bench -s

lock: ## pin every dependency by version and hash
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv; $(BIN)/pip install -q uv && $(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 \
		--extra collector --extra report --extra dev --no-annotate --no-emit-index-url --no-emit-find-links \
		--custom-compile-command "make lock" pyproject.toml -o requirements.lock

.venv/ready: requirements.lock pyproject.toml
	@deploy/setup/python.sh "$(PYTHON)"

debian:
	@deploy/setup/debian.sh

clean: ## remove what the targets made
	rm -rf .venv run .pytest_cache .mypy_cache .ruff_cache .hypothesis
