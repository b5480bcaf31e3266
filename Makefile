PYTHON ?= python3
PIP = .venv/bin/python -m pip --disable-pip-version-check

.PHONY: demo test lab check clean

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "flowlab needs Python 3.11 or later; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/core.stamp: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) install -q -c constraints.txt -e .
	@touch $@

.venv/test.stamp: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) install -q -c constraints.txt -e '.[test]'
	@touch $@ .venv/core.stamp

.venv/lab.stamp: .venv/core.stamp
	$(PIP) install -q -c constraints.txt -e '.[lab]'
	@touch $@

test: .venv/test.stamp
	.venv/bin/python -m pytest

lab: .venv/lab.stamp
	.venv/bin/jupyter lab notebooks

clean:
	rm -rf .venv build dist report.html
