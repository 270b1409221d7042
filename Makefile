# `make help` lists the targets; each is a line that works without make too.
.DEFAULT_GOAL := help
.PHONY: help quickstart test fuzz lint types format docs

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

quickstart: ## set up, render the synthetic corpus, train, evaluate, save
	python3 run.py

test: ## set up and run the tests
	python3 run.py test

fuzz: ## hunt: damaged and hostile input, edited folders, killed runs; N=examples a test, SEED=another hunt
	AFFECTHUB_FUZZ_EXAMPLES=$(or $(N),2000) .venv/bin/python -m pytest tests/fuzz --hypothesis-seed=$(or $(SEED),0)
	.venv/bin/python -m tests.fuzz.model_folders --cases 300
	.venv/bin/python -m tests.fuzz.killed_runs --kills 40

docs: ## build the documentation as a site, build/site; a broken link is an error
	python3 run.py docs

lint: ## ruff: lint and format check
	python3 run.py lint

types: ## pyright over all rooms; it comes by npm, and takes minutes
	python3 run.py types

format: ## ruff: mend what can be mended
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .
