# graddiag: `make help` lists what can be made here.

PYTHON ?= python3
SERVE ?= 1
PORT ?= 8501
ROOT ?= runs
REPORT ?= reports/demo.html
PYTEST_ARGS ?=
# make docs serves only where SERVE is given
SERVE_DOCS := $(if $(filter file,$(origin SERVE)),0,$(SERVE))
THREADS ?= 1
# Images set it; then each of the hundreds of processes that the tests start would compile graddiag anew.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
# an environment that was made with the torch of PYTHON keeps to it
SYSTEM_TORCH ?= $(if $(shell grep -s 'include-system-site-packages = true' $(VENV)/pyvenv.cfg),1,0)
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV := $(VENV)/.installed-dev
THIRD := .venv-third-party
THIRD_STAMP := $(THIRD)/.installed
# without all that fastai declares: torchvision would bring another torch, and its tests here need no spaCy
FASTAI := fastai==2.8.12 fastcore==2.2.41 fastdownload==0.0.8 fastprogress==1.0.5 fasttransform==0.0.5 \
  plum-dispatch==2.9.0 beartype==0.23.1
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet
# SYSTEM_TORCH=1: the torch that PYTHON has, whatever its version; the rest as ever
ifeq ($(SYSTEM_TORCH),0)
INSTALL := $(PIP) install --constraint constraints.txt
DOWNLOADS := 1.4 GB with a CPU build of torch, several more with the CUDA build that pip takes on ordinary Linux (to use a torch that is there: SYSTEM_TORCH=1)
else
INSTALL := $(PIP) install --constraint $(VENV)/constraints.txt
DOWNLOADS := 0.5 GB beside the torch that is there
endif

define CHECK_PYTHON
import sys
found = "%s (Python %d.%d)" % ((sys.executable,) + sys.version_info[:2])
if sys.version_info < (3, 11):
    sys.exit("graddiag needs Python 3.11 or newer; found " + found + ". Name another one: make PYTHON=python3.11")
try:
    import ensurepip, venv
except ImportError:
    sys.exit("The module venv is missing from " + found + ". On Debian or Ubuntu: apt-get install python3-venv")
import importlib.util
if "$(SYSTEM_TORCH)" != "0" and not importlib.util.find_spec("torch"):
    sys.exit("SYSTEM_TORCH=1, but " + found + " has no torch. Name one that has: make SYSTEM_TORCH=1 PYTHON=...")
endef
export CHECK_PYTHON

.DEFAULT_GOAL := help
.PHONY: help demo test quick test-libraries test-browser test-third-party coverage lint docs bench torture browser wheel clean

# The stamp holds the folder it was made in: a checkout that was moved or copied gets a new environment.
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP) $(DEV)
endif

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "Settings: PYTHON=$(PYTHON) SERVE=$(SERVE) PORT=$(PORT) ROOT=$(ROOT) REPORT=$(REPORT) THREADS=$(THREADS) SYSTEM_TORCH=$(SYSTEM_TORCH) PYTEST_ARGS="

demo: $(STAMP)  ## record the demonstration, write its report, open the dashboard (SERVE=0: all but that)
	@$(BIN)/graddiag demo --root $(ROOT) --out $(REPORT)
ifneq ($(SERVE),0)
	@$(BIN)/graddiag dashboard --root $(ROOT) --port $(PORT)
endif

test: $(DEV)  ## the tests of graddiag by itself; the others: test-libraries, test-browser, test-third-party
	OMP_NUM_THREADS=$(THREADS) $(BIN)/python -m pytest -n 2 --dist worksteal -m "not libraries and not browser and not third_party" $(PYTEST_ARGS)

test-libraries: $(DEV)  ## the tests with Lightning, Transformers, Ray, submitit, W&B, MLflow, MkDocs, Jupyter, ..., and in several ranks
	OMP_NUM_THREADS=$(THREADS) $(BIN)/python -m pytest -n 2 --dist worksteal -m "libraries and not browser" $(PYTEST_ARGS)

quick: $(DEV)  ## the tests that take less than about 0.05 s
	OMP_NUM_THREADS=$(THREADS) $(BIN)/python -m pytest -n 2 --dist worksteal --quick $(PYTEST_ARGS)

# What fails in a browser on a loaded machine is tried once more, and reported as R: a fault of the page fails twice.
test-browser: $(DEV) browser  ## the tests of pages and reports in a browser
	OMP_NUM_THREADS=$(THREADS) $(BIN)/python -m pytest -n 2 --dist worksteal -m browser --reruns 1 $(PYTEST_ARGS)

test-third-party: $(THIRD_STAMP)  ## the tests with libraries from PyPI that graddiag does not need, in a separate environment
	OMP_NUM_THREADS=$(THREADS) $(THIRD)/bin/python -m pytest -m third_party $(PYTEST_ARGS) tests/third_party

coverage: $(DEV)  ## the tests without a browser, and the share of lines covered in each package
	@mkdir -p build/coverage
	OMP_NUM_THREADS=$(THREADS) $(BIN)/python -m pytest -n 2 --dist worksteal -m "not browser and not third_party" --cov --cov-report= $(PYTEST_ARGS)
	@$(BIN)/coverage json -q -o build/coverage/coverage.json
	@$(BIN)/python -m scripts.coverage_by_package build/coverage/coverage.json

lint: $(DEV)  ## ruff, mypy and the import map
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

docs: $(DEV)  ## the manual as a site, in build/site (SERVE=1: served on 127.0.0.1)
ifeq ($(SERVE_DOCS),0)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs --quiet build --strict
	@echo "build/site/index.html"
else
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs serve --strict --livereload --dev-addr 127.0.0.1:$(PORT)
endif

bench: $(DEV)  ## the figures of the README
	@for each in recording recorded_step unrecorded analysis dashboard watching; do \
	  echo "== $$each"; $(BIN)/python -m benchmarks.$$each || exit; done

torture: $(DEV)  ## damage, kill and crowd runs, and show what is left (about an hour)
	OMP_NUM_THREADS=$(THREADS) $(BIN)/python -m benchmarks.torture

browser:  ## Debian's chromium for the tests of the dashboard, when it is missing
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit 0; done; \
	if [ "$$(id -u)" = 0 ]; then as_root=; elif sudo -n true 2>/dev/null; then as_root=sudo; else as_root=no; fi; \
	if [ "$$as_root" = no ] || ! command -v apt-get >/dev/null; then \
	  echo "chromium is missing and cannot be installed from here: the browser tests will be skipped."; \
	  echo "Install it (Debian: apt-get install chromium) to run them."; exit 0; \
	fi; \
	echo "installing chromium"; \
	export DEBIAN_FRONTEND=noninteractive; \
	$$as_root apt-get -qq update && $$as_root apt-get -qq install -y --no-install-recommends chromium >/dev/null

wheel: $(DEV)  ## the wheel and the source distribution, in dist/
	$(BIN)/python -m build --no-isolation --outdir dist .

clean:  ## remove the environment, builds and caches; recorded runs and reports stay
	rm -rf $(VENV) $(THIRD) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "No $(PYTHON) found. Name a Python 3.11 or newer: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c "$$CHECK_PYTHON"
	@[ ! -f $@ ] || [ "$$(cat $@)" = "$(CURDIR)" ] || rm -rf $(VENV)
	@[ ! -d $(VENV) ] || $(BIN)/python -c "" 2>/dev/null || rm -rf $(VENV)
	@[ -d $(VENV) ] || echo "installing graddiag into $(VENV), once: about a minute; $(DOWNLOADS)"
	@[ -d $(VENV) ] || $(PYTHON) -m venv $(if $(filter-out 0,$(SYSTEM_TORCH)),--system-site-packages) $(VENV)
	@grep -v '^torch==' constraints.txt >$(VENV)/constraints.txt
	@$(INSTALL) hatchling editables
	@$(INSTALL) --no-build-isolation --editable .
	@pwd >$@

$(DEV): $(STAMP)
	@[ -f $@ ] || echo "installing what the tests need, and the libraries that graddiag works with: about a minute and 0.6 GB, once"
	@$(INSTALL) --no-build-isolation --editable '.[dev]'
	@touch $@

# On top of .venv, whose packages it uses, with an older pandas and what the libraries need beside it.
$(THIRD_STAMP): $(DEV) pyproject.toml constraints.txt constraints-third-party.txt
	@[ -f $@ ] && [ "$$(cat $@)" = "$(CURDIR)" ] || rm -rf $(THIRD)
	@[ -d $(THIRD) ] || echo "installing the libraries of the extra third-party into $(THIRD): a minute or two and 0.7 GB, once"
	@[ -d $(THIRD) ] || $(PYTHON) -m venv $(THIRD)
	@packages=$$($(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))"); \
	own=$$($(THIRD)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))"); \
	echo "import site; site.addsitedir('$$packages')" >$$own/zz_venv.pth
	@{ grep -v -e '^pandas' -e '^python-dateutil' constraints.txt; cat constraints-third-party.txt; } >$(THIRD)/constraints.txt
	@$(THIRD)/bin/python -m pip --disable-pip-version-check --quiet --quiet install --only-binary :all: \
	  --constraint $(THIRD)/constraints.txt $$($(BIN)/python -m scripts.extra third-party)
	@$(THIRD)/bin/python -m pip --disable-pip-version-check --quiet --quiet install --only-binary :all: --no-deps $(FASTAI)
	@pwd >$@
