# Short names for commands; `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help certificate repair verify bundle replay claims atlas zoo test-unit test test-slow test-studies bench lint locks clean
SHELL := /bin/bash
# With it every Python that starts compiles all it imports: Snakemake takes twice as long to start.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3.11
# Two tests at once: most of their time is one thread that imports TensorFlow. Those of a file stay on
# one worker, because they share what took long to make; what takes long comes first (tests/conftest.py).
PYTEST := .venv-dev/bin/python -m pytest -n $(or $(WORKERS),2) --dist loadfile --no-loadscope-reorder
# The shell reads both from its environment, so that quotes, blanks and apostrophes stay as they are.
export OVERRIDES CERTIFICATE
ifneq ($(OVERRIDES),)
CONFIG := --config overrides="$$OVERRIDES"
endif

NEEDS_CERTIFICATE = $(if $(CERTIFICATE),,$(error CERTIFICATE: expected the path of a certificate.json \
or .zip, got none; for instance make $@ CERTIFICATE=results/default/certificate.json))

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

certificate: .venv/ready ## train twice, compare, certify; OVERRIDES='model=cnn seed=7' changes the experiment
	@.venv/bin/snakemake --cores all $(CONFIG)

repair: .venv/ready ## remove damaged results and data, by digest, and make them again
	@.venv/bin/snakemake --cores all repair $(CONFIG)
	@.venv/bin/snakemake --cores all $(CONFIG)

verify: .venv-verify/ready ## check CERTIFICATE=certificate.json or .zip; FLAGS='--key PUB --artifacts DIR --json'
	@$(NEEDS_CERTIFICATE).venv-verify/bin/python scripts/verify.py "$$CERTIFICATE" $(FLAGS)

bundle: .venv/ready ## the certificate with all its evidence in one file, SBOMs and an RO-Crate
	@.venv/bin/snakemake --cores all bundle crate $(CONFIG)

replay: .venv/ready ## train the experiment of CERTIFICATE=certificate.json or .zip again, or a sample of EPOCHS=1; sign the outcome
	@$(NEEDS_CERTIFICATE).venv/bin/snakemake --cores all replay --config certificate="$$CERTIFICATE" $(if $(EPOCHS),epochs='$(EPOCHS)')

claims: .venv/ready ## the article's sentences, tested: results/article/claims.html
	@.venv/bin/snakemake --snakefile studies/claims/Snakefile --cores all

atlas: .venv/ready ## find the ops whose bits depend on the CPU: docs/atlas.html, .json and same-bits.md; needs qemu-user
	@.venv/bin/snakemake --snakefile studies/atlas/Snakefile --cores all
	@cp results/atlas/atlas.json results/atlas/atlas.html results/atlas/same-bits.md docs/

zoo: .venv-dev/ready ## experiments with a planted dependence, which must be found, and clean ones, which must pass
	@.venv-dev/bin/python tests/zoo/zoo.py

test-unit: .venv-dev/ready ## tests that need no built environment
	@$(PYTEST) --ignore tests/studies -m "not slow and not environment"

test: .venv-dev/ready ## all tests but the slow ones and those of the studies
	@$(PYTEST) --ignore tests/studies -m "not slow"

test-slow: .venv-dev/ready ## slow tests; ONLY='tests/verification …' for some folders
	@$(PYTEST) --ignore tests/studies -m slow $(ONLY)

test-studies: .venv-dev/ready ## tests of the studies: the atlas and the claims
	@$(PYTEST) tests/studies

bench: .venv-dev/ready ## measure the cost of everything: results/bench/bench.html; ONLY=dag,digest PAIRS=1 measures a part
	@.venv-dev/bin/python bench/bench.py $(if $(ONLY),--only '$(ONLY)') $(if $(PAIRS),--pairs '$(PAIRS)')

lint: .venv-dev/ready ## ruff, mypy, import contracts, budgets of the rooms, snakefmt, snakemake --lint, locks
	@.venv-dev/bin/ruff check .
	@.venv-dev/bin/ruff format --check .
	@.venv-dev/bin/mypy
	@PYTHONPATH=scripts .venv-dev/bin/lint-imports
	@.venv-dev/bin/python tools/budget.py
	@.venv-dev/bin/snakefmt --check Snakefile rules studies
	@.venv-dev/bin/snakemake --lint
	@.venv-dev/bin/python tools/lock.py --check --offline

locks: .venv-dev/ready ## resolve envs/*.in again and write locks and post-deploy scripts
	@.venv-dev/bin/python tools/lock.py

clean: ## remove results, environments and logs; data stays
	rm -rf results logs .samebits .snakemake

# A virtual environment from a lock. `ready` is made last, so an interrupted build starts again.
.venv/ready: envs/driver.lock.txt
.venv-dev/ready: envs/dev.lock.txt
.venv-verify/ready: envs/certify.lock.txt
.venv/ready .venv-dev/ready .venv-verify/ready:
	@scripts/bootstrap.sh $(PYTHON) $(@D) $<
