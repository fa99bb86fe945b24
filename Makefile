# make run    set up and run the embedded default       make test   lint and tests
# make plan   what would run, as a table                make lint   lint alone
# make prompts  the prompts and the tokens that are probed
# make clean  remove .venv and results
PYTHON ?= python3
BIN := .venv/bin
# Cells run side by side only as far as memory goes.
MEMORY = $(shell $(BIN)/python -c "import psutil; print(psutil.virtual_memory().available * 9 // 10 // 2**20)")
SNAKEMAKE = $(BIN)/snakemake --resources mem_mb=$(MEMORY)

.PHONY: run plan prompts test lint clean

run: .venv/installed
	@$(SNAKEMAKE) --logger rich
	@$(SNAKEMAKE) --report results/report.html > results/logs/report.log 2>&1 || { cat results/logs/report.log; exit 1; }
	@echo
	@echo "Figures  results/figures/   (accuracy.png first)"
	@echo "Tables   results/tables/    (concept_depth.csv, layer_scores.csv)"
	@echo "Report   results/report.html"

plan: .venv/installed
	@$(SNAKEMAKE) --dry-run --quiet host rules

prompts: .venv/installed
	@$(SNAKEMAKE) --quiet all show_prompts

test: .venv/installed-test lint
	$(BIN)/pytest

lint: .venv/installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/mypy
	$(BIN)/snakemake --lint

.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.txt
	@touch $@

.venv/installed-test: requirements-test.txt .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements-test.txt
	@touch $@

clean:
	rm -rf .venv results .snakemake
