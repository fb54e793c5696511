# make demo | page | test | lint | package | figures | smoke: each sets up what it needs, on a machine with Python 3.11 to 3.13.
PYTHON ?= python3
MATERIALS ?= demo
OUTPUT ?= $(if $(filter demo,$(MATERIALS)),figures,output/figures)

BIN := .venv/bin

.PHONY: demo page test lint package figures smoke clean

demo: .venv/run
	$(BIN)/python -m experiments demo --output figures

page: .venv/page
	$(BIN)/python -m reproduce page

test: .venv/dev
	$(BIN)/python -m pytest -q -m "not weights" -n 2 --dist loadfile
	$(BIN)/python -m pytest -q -m weights

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

package: .venv/dev
	.ci/installed

figures: .venv/run
	$(BIN)/python -m experiments figures --materials $(MATERIALS) --output $(OUTPUT)

smoke: .venv/run
	$(BIN)/python -m experiments figures table ablation details --smoke --output output/smoke --cache output/smoke/cache

.venv/run: requirements.txt
	@$(PYTHON) -c "import sys; sys.exit(None if (3, 11) <= sys.version_info[:2] <= (3, 13) else \
	'Expected Python 3.11, 3.12 or 3.13, such as make PYTHON=python3.12. Received: ' + sys.version.split()[0])"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/page: requirements-page.txt .venv/run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-page.txt
	touch $@

.venv/dev: requirements-dev.txt requirements-cluster.txt requirements-page.txt .venv/run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

clean:
	rm -rf .venv
