# GNU Make 3.81 (macOS) will do. An environment made elsewhere is used as it is: make test VENV=path/to/it
PYTHON ?= python3
VENV ?= .venv
CONFIG ?= configs/cnn.yaml
ARGS ?=

BIN = $(VENV)/bin
RUN = "$(BIN)/python"
# holds the folder that was installed
INSTALLED = $(VENV)/.fmnist-installed
# an environment that was made elsewhere may hold another clone
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))

# Debian's Python comes without ensurepip: take pip from its package, unpacked without root.
define BOOTSTRAP
set -e; folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
mkdir -p "$$folder/lists/partial" "$$folder/cache/archives/partial"; \
apt="apt-get -qq -o Dir::State::Lists=$$folder/lists -o Dir::Cache=$$folder/cache -o APT::Sandbox::User=root"; \
$$apt update || true; (cd "$$folder" && $$apt download python3-pip-whl && dpkg-deb -x python3-pip-whl_*.deb .); \
"$(PYTHON)" -m venv --without-pip "$(VENV)"; \
PYTHONPATH=$$(echo "$$folder"/usr/share/python-wheels/pip-*.whl) $(RUN) -m pip install --quiet pip
endef

.PHONY: help venv data train test faults lint format benchmark baselines pretrained published tensorboard docs clean

help:  ## Show this list
	@echo "make TARGET [VENV=.venv] [PYTHON=python3] [CONFIG=configs/cnn.yaml] [ARGS=\"flags passed on\"]"
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' Makefile

venv: $(INSTALLED)  ## Create the virtual environment and install into it what is pinned

$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "error: PYTHON=$(PYTHON): Python 3.10 or newer is needed, e.g. make venv PYTHON=python3.12" >&2; exit 1; }
	@set -e; folder=$$(cat "$(INSTALLED)" 2>/dev/null || true); \
	if [ ! -x "$(BIN)/python" ]; then folder="$(CURDIR)"; fi; \
	if [ "$${folder:-$(if $(filter .venv,$(VENV)),$(CURDIR))}" != "$(CURDIR)" ]; then \
	  echo 'Using $(VENV) as it is, because it was made elsewhere. $(VENV)/bin/pip install -e ".[dev]" changes it.' >&2; \
	  exit 0; fi; \
	if [ -x "$(BIN)/python" ]; then :; \
	elif "$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null; then "$(PYTHON)" -m venv "$(VENV)"; \
	elif command -v uv >/dev/null; then uv venv --seed --python "$(PYTHON)" "$(VENV)"; \
	elif command -v virtualenv >/dev/null; then virtualenv --python "$(PYTHON)" "$(VENV)"; \
	elif command -v dpkg-deb >/dev/null; then $(BOOTSTRAP); \
	else echo "error: $(PYTHON) can't create virtual environments: install its venv module, or uv" >&2; exit 1; fi; \
	echo "Installing into $(VENV): a few minutes and about 6 GB, if it is new"; \
	$(RUN) -m pip install --quiet --disable-pip-version-check -e ".[demo,dev,docs,export,fast,heif,study]" -c constraints.txt; \
	echo "$(CURDIR)" > "$(INSTALLED)"

data: venv  ## Find or download Fashion-MNIST, and verify it
	@$(RUN) -m fmnist.data.source

train: data  ## Train CONFIG, by default the CNN
	@$(RUN) scripts/train.py --config "$(CONFIG)" $(ARGS)

# of xdist's ways to share tests out, "loadfile" waits for ever after a process crashes (xdist 3.8, issue 1378)
test: venv  ## Run the tests but for the slow ones (those: ARGS="-m slow"); without the data, some are skipped
	@$(RUN) -m fmnist.data.source || echo "The tests marked real_data will be skipped."
	@$(RUN) -m pytest -n auto --maxprocesses 4 --dist worksteal -m "not slow" $(ARGS)

faults: venv  ## Kill, starve and damage trainings, and show that they survive: ARGS="--short", "--rows kill"
	@$(RUN) -m tests.faults $(ARGS)

lint: venv  ## Check style, format and types
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy

format: venv  ## Put the code into its format
	@$(RUN) -m ruff check --fix-only --quiet .
	@$(RUN) -m ruff format .

benchmark: data  ## Measure loader, networks and training beside what people use: ARGS="loader epoch"
	@$(RUN) scripts/benchmark.py $(ARGS)

baselines: data  ## Fit every baseline that is not finished; print their table
	@$(RUN) scripts/study.py configs/baselines $(ARGS)

# Several hours; a run that is finished is not trained again. lenet5 learns from cnn. Before the last step,
# scripts/evaluate.py logs/pretrained-robust --photographs FOLDER adds figures on real photographs to its card.
pretrained: data  ## Train the shipped networks and write fmnist/pretrained again
	@$(RUN) scripts/study.py configs/record/cnn.yaml --seed_everything 4 --name pretrained-cnn
	@$(RUN) scripts/evaluate.py logs/pretrained-cnn --shifts
	@$(RUN) -m fmnist.evaluation.ship logs/pretrained-cnn --name cnn $(ARGS)
	@$(RUN) scripts/study.py configs/record/lenet5.yaml --name pretrained-lenet5
	@$(RUN) scripts/study.py configs/robust.yaml --name pretrained-robust
	@$(RUN) scripts/evaluate.py logs/pretrained-lenet5 logs/pretrained-robust --shifts
	@$(RUN) -m fmnist.evaluation.ship logs/pretrained-lenet5 --name lenet5 $(ARGS)
	@$(RUN) -m fmnist.evaluation.ship logs/pretrained-robust --name robust $(ARGS)

published: data  ## Train every published system that has no finished run, then compare them
	@$(RUN) scripts/study.py configs/published --compare logs/published $(ARGS)

tensorboard: venv  ## Show all runs in TensorBoard
	@"$(BIN)/tensorboard" --logdir logs $(ARGS)

docs: venv  ## Build the documentation into site/, which needs no network
	@NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --quiet
	@echo "Open site/index.html in a browser."

clean:  ## Remove caches and builds; environment, data and runs stay
	@rm -rf build site *.egg-info .pytest_cache .ruff_cache .mypy_cache
	@find fmnist scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +
