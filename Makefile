# Short names for commands; `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help certificate repair verify bundle replay claims atlas zoo test-unit test test-slow test-studies bench lint locks clean
SHELL := /bin/bash
# With it every Python that starts compiles all it imports: Snakemake takes twice as long to start.
unexport PYTHONDONTWRITEBYTECODE

# Two tests at once: most of their time is one thread that imports TensorFlow. Those of a file stay on
# one worker, because they share what took long to make; what takes long comes first (tests/conftest.py).
PYTEST := .venv-dev/bin/python -m pytest -n $(or $(WORKERS),2) --dist loadfile --no-loadscope-reorder
# What the command line sets is passed on as it was typed: make certificate model=cnn 'trainer.epochs=5'
OWN := CERTIFICATE FLAGS WORKERS ONLY PAIRS
WORDS = $(foreach _,$(sort $(filter-out $(OWN),$(.VARIABLES))),$(if $(filter command,$(origin $_)),'$_=$(subst ','\'',$(value $_))'))
export CERTIFICATE

NEEDS_CERTIFICATE = $(if $(CERTIFICATE),,$(error CERTIFICATE: expected the path of a certificate.json \
or .zip, got none; for instance make $@ CERTIFICATE=results/default/certificate.json))

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

certificate: ## train twice, compare, certify; model=cnn seed=7 changes the experiment
	@./samebits $@ $(WORDS)

repair: ## remove damaged results and data, by digest, and make them again
	@./samebits $@ $(WORDS)

verify: ## check CERTIFICATE=certificate.json or .zip; FLAGS='--key PUB --artifacts DIR --json'
	@$(NEEDS_CERTIFICATE)./samebits $@ "$$CERTIFICATE" $(FLAGS)

bundle: ## the certificate with all its evidence in one file, SBOMs and an RO-Crate
	@./samebits $@ $(WORDS)

replay: ## train the experiment of CERTIFICATE=certificate.json or .zip again, or a sample of epochs=1; sign the outcome
	@$(NEEDS_CERTIFICATE)./samebits $@ "$$CERTIFICATE" $(WORDS)

claims: .venv/ready ## the article's sentences, tested: results/article/claims.html
	@.venv/bin/snakemake --snakefile studies/claims/Snakefile --cores all

atlas: .venv/ready ## find the ops whose bits depend on the CPU: docs/atlas.html, same-bits.md, drawn.md; needs qemu-user
	@.venv/bin/snakemake --snakefile studies/atlas/Snakefile --cores all
	@cp results/atlas/atlas.json results/atlas/atlas.html results/atlas/same-bits.md results/atlas/drawn.json results/atlas/drawn.md docs/

zoo: .venv-dev/ready ## experiments with a planted dependence, which must be found, and clean ones, which must pass
	@.venv-dev/bin/python tests/zoo/zoo.py

test-unit: .venv-dev/ready ## tests that need no built environment, browser or other process
	@$(PYTEST) --ignore tests/studies -m "not slow and not environment and not process"

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

# Environments from locks. `ready` is made last, so an interrupted build starts again.
.venv/ready: envs/driver.lock.txt
	@scripts/bootstrap.sh driver >/dev/null && touch $@
.venv-dev/ready: envs/dev.lock.txt
	@scripts/bootstrap.sh dev >/dev/null && touch $@
