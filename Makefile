# Everything happens in .venv, which is made once; a target that has nothing to do does nothing.
#   make demo [FOLDER=path]   a report about the bundled sample, or about a folder of histories
#   make test                 lint, types, tests: what continuous integration runs
#   make lab                  the notebooks
#   make notebooks            run them, and store their outputs again
#   make check [AREA=log]     measure the claims again
#   make docs                 the pages that are written from docstrings
#   make PYTHON=python3.12 …  with another interpreter

MAKEFLAGS += --no-print-directory
# A shell finds the first Python that is new enough; one that a person names is taken as named.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && exit; \
	done; echo python3)
PY = .venv/bin/python
INSTALL = $(PY) -m pip --disable-pip-version-check --quiet install -c constraints.txt
CHECKED = flowlab

ifeq ($(origin PYTHON)$(filter clean,$(MAKECMDGOALS)),command line)
  ifneq ($(shell [ ! -x $(PY) ] || [ "$$($(PY) -V)" = "$$('$(PYTHON)' -V)" ] || echo other),)
    $(error .venv has another Python than '$(PYTHON)'; run make clean first)
  endif
endif

export FOLDER AREA
# Some machines tell Python to keep no compiled modules: hundreds of processes of the tests would
# each compile all that they load.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint lab notebooks check docs clean
.DELETE_ON_ERROR:

demo: .venv/core.stamp
	@$(PY) -m flowlab demo $${FOLDER:+"$$FOLDER"}

# The stores that tests make are many and small: they lie in memory where there is room.
MEMORY = /dev/shm
ROOM_KB = 4000000

test: lint
	@if [ -w $(MEMORY) ] && \
	  [ "$$(df -Pk $(MEMORY) 2>/dev/null | awk 'NR == 2 { print $$4 }')" -gt $(ROOM_KB) ]; then \
	  TMPDIR=$$(mktemp -d $(MEMORY)/flowlab-XXXXXX); export TMPDIR; trap 'rm -rf "$$TMPDIR"' EXIT; \
	fi; $(PY) -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

lint: .venv/test.stamp
	@$(PY) -m ruff check --quiet $(CHECKED) data docs notebooks tests
	@$(PY) -m ruff format --check --quiet $(CHECKED) data docs notebooks tests
	@$(PY) -m mypy --num-workers auto --no-error-summary $(CHECKED)

lab: .venv/lab.stamp
	@$(PY) -m jupyter lab notebooks

notebooks: .venv/test.stamp
	@$(PY) notebooks/run.py

check: .venv/test.stamp
	@$(PY) -m flowlab check $$AREA

docs: .venv/core.stamp
	@$(PY) docs/generate.py

clean:
	rm -rf .venv build dist report.html .hypothesis .mypy_cache .ruff_cache test-results

.venv/made.stamp:
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "flowlab needs Python 3.11 or later, and '$(PYTHON)' is not one;" \
	       "name one that is: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@rm -rf .venv
	@echo "making .venv with $$('$(PYTHON)' --version)"
	@'$(PYTHON)' -m venv .venv || { rm -rf .venv; \
	  echo "no environment could be made; on Debian: apt install python3-venv" >&2; exit 1; }
	@touch $@

.venv/core.stamp: .venv/made.stamp pyproject.toml constraints.txt
	@echo "installing flowlab and its libraries"
	@$(INSTALL) -e .
	@touch $@

.venv/test.stamp: .venv/made.stamp pyproject.toml constraints.txt
	@echo "installing flowlab, its libraries and what the tests need"
	@$(INSTALL) -e '.[test]'
	@touch .venv/core.stamp $@

.venv/lab.stamp: .venv/core.stamp
	@echo "installing JupyterLab"
	@$(INSTALL) -e '.[lab]'
	@touch $@
