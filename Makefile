# make run      set up and run the embedded default     make audit    check all results against their records
# make plan     what would run, as a table              make archive  write an RO-Crate of the run
# make why      why, in words                           make test     lint and tests (make test-long: long forms of some)
# make costs    memory, disk, tokens and GPU hours      make lint     lint alone
# make prompts  prompts and the tokens that are probed  make bench    compare extraction with other tools
# make items    test statements that a depth takes      make security code and packages, by bandit and pip-audit
# make docs     the documentation as a site             make clean    remove .venv and results
# make audit-statistics   how often intervals and tests are wrong, on generated experiments (about half an hour)
# make bench-gpu          the same at the shapes of two models, in four weight formats, on a GPU if there is one
# Options of snakemake go into ARGS: make why ARGS="--configfile mine.yaml"
PYTHON ?= python3
BIN := .venv/bin
# Cells run side by side only as far as memory goes.
MEMORY = $(shell $(BIN)/python -c "import psutil; print(psutil.virtual_memory().available * 9 // 10 // 2**20)")
SNAKEMAKE = $(BIN)/snakemake --resources mem_mb=$(MEMORY) $(ARGS)

LINTS = lint-types lint-python lint-rules lint-imports lint-security lint-workflow

.PHONY: run plan why costs claims items prompts audit audit-statistics archive docs test test-long test-slurm bench bench-gpu lint security $(LINTS) clean

run: .venv/installed
	@PYTHONPATH=workflow_scripts $(SNAKEMAKE) --logger conceptdepth
	@$(BIN)/conceptdepth report $(ARGS)

plan: .venv/installed
	@$(SNAKEMAKE) --dry-run --quiet host rules

why: .venv/installed
	@$(BIN)/conceptdepth why $(ARGS)

costs: .venv/installed
	@$(BIN)/conceptdepth costs $(ARGS)

claims: .venv/installed
	@$(SNAKEMAKE) --quiet all -- results/tables/claims.csv
	@cut -d' ' -f2- results/logs/check_claims.log

audit: .venv/installed
	@$(BIN)/conceptdepth audit --all

archive: .venv/installed
	@$(BIN)/conceptdepth archive

items: .venv/installed
	@$(BIN)/conceptdepth items $(ARGS)

# Pages are those of docs/, README.md and a few others: resources/documentation/hooks.py has the list.
docs: .venv/installed-test
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo results/site/index.html

prompts: .venv/installed
	@$(SNAKEMAKE) --quiet all -- show_prompts

# A worker for each core, two for the tests of SLURM, which mostly wait, and one for other waiting; tests/conftest.py says which takes what.
WORKERS = $(shell $(BIN)/python -c "import os; print(max(2, os.cpu_count()) + 3)")
PYTEST = $(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

test: .venv/installed-test lint
	$(PYTEST)

# What is slow because it is large: `make test` has a short form of each.
test-long: .venv/installed-test
	$(PYTEST) -m long

# The tables of docs/statistics.md; `make test` has a short form.
audit-statistics: .venv/installed-test
	@PYTHONPATH=workflow_scripts $(BIN)/python tests/audit_statistics.py $(ARGS)

# With a real SLURM that tests start and stop; skipped where it is not installed.
test-slurm: .venv/installed-test
	$(PYTEST) tests/slurm

# Needs the model and prompts of `make run`; the other tools get environments under .venv/bench.
bench: .venv/installed
	PYTHONPATH=workflow_scripts $(BIN)/python tests/benchmarks/bench.py $(ARGS)

# Needs the tokenizer of `make run` and ../shared/sources, or ARGS="--prompts FILE"; ARGS="--miniature" needs neither.
bench-gpu: .venv/installed
	PYTHONPATH=workflow_scripts $(BIN)/python tests/benchmarks/gpu.py $(ARGS)

# SECURITY.md says what else is done. Where the database of weaknesses cannot be asked, the second line says so.
security: .venv/installed-test lint-security
	@$(BIN)/python tests/known_weaknesses.py

lint: .venv/installed-test
	@$(MAKE) --no-print-directory --jobs 2 --output-sync $(LINTS)

lint-python:
	$(BIN)/ruff check
	$(BIN)/ruff format --check

lint-rules:
	$(BIN)/snakefmt --check Snakefile workflow rules examples

lint-types:
	$(BIN)/mypy

lint-imports:
	PYTHONPATH=workflow_scripts $(BIN)/lint-imports

lint-security:
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive workflow_scripts

lint-workflow:
	$(BIN)/snakemake --lint

.venv/installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.venv/installed-test: requirements-test.txt tests/requirements-crate.txt .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements-test.txt
	$(PYTHON) -m venv .venv/crate
	.venv/crate/bin/pip install --quiet --disable-pip-version-check --requirement tests/requirements-crate.txt
	@touch $@

clean:
	rm -rf .venv results .snakemake
