# Every target sets up what it needs, in .venv; what is in place is left alone.
PYTHON ?= python3
# One thread for each of several processes; OMP_NUM_THREADS=N make ... sets another number.
RUN = OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} .venv/bin/python
CLUSTER = .venv/bin/python tools/misc/slurm_cluster.py

# What was typed, as a shell takes it: the hint of a run that was interrupted.
special := \ $$ ' " ` & ; | < > ( ) * ? [ ] { } ~ ! ^ \#
tab := $(subst x,,x	x)
space := $(subst x,,x x)
unsafe = $(strip $(foreach c,$(special),$(findstring $c,$1)) $(if $(findstring $(space),$1)$(findstring $(tab),$1),space))
quote = $(if $(call unsafe,$1),'$(subst ','\'',$1)',$1)
given = $(foreach v,$(sort $(.VARIABLES)),$(if $(filter command,$(origin $v)),$v))
# Typed in front of make: what the docs name, and what pip, compilers and CUDA are told by. None that may hold a password.
known := TASK DATA PYTEST_ARGS RERUN PYTHON XDG_CACHE_HOME TMPDIR MAX_JOBS FORCE_CUDA TORCH_CUDA_ARCH_LIST CUDA_HOME CUDA_PATH \
  CUDA_VISIBLE_DEVICES CC CXX CFLAGS OMP_NUM_THREADS $(filter-out MMDIST_AGAIN,$(filter MMDIST_%,$(.VARIABLES)))
inherited = $(foreach v,$(sort $(known)),$(if $(filter environment,$(origin $v)),$v))
# Behind make a $ is written twice.
text = $(if $(filter environment,$(origin $1)),$(subst $$,$$$$,$(value $1)),$(value $1))
variables = $(strip $(inherited) $(given))
visible = $(subst $(space),?,$1)
here = $(filter $(call visible,$(CURDIR)),$(call visible,$(PWD)) $(realpath $(PWD)))
typed = $(MAKE) $(if $(here),,-C $(call quote,$(CURDIR)) )$(MAKECMDGOALS)$(if $(variables), $(foreach v,$(variables),$v=$(call quote,$(call text,$v))))
env demo benchmark: export MMDIST_AGAIN = $(typed)

.PHONY: help env demo test test-zoo test-families test-slurm benchmark lint docs clean

help:
	@echo 'make demo [TASK=seg|det|cls] [DATA=...]  train teacher, student and distilled student; compare them'
	@echo 'make test [PYTEST_ARGS=...]              run the tests'
	@echo 'make test-zoo [PYTEST_ARGS=...]          train one iteration of every config of the zoo'
	@echo 'make test-families [PYTEST_ARGS=...]     try every config family of the libraries, as student and teacher (hours)'
	@echo 'make test-slurm [PYTEST_ARGS=...]        run the tests that need slurm, on a cluster on this machine'
	@echo 'make benchmark [RERUN="--task ..."]      tables and figures of the accuracy benchmark; RERUN trains cells once more'
	@echo 'make lint                                check style and format'
	@echo 'make docs                                build the documentation, into build/docs/html (Python 3.11 or newer)'
	@echo 'make env                                 set up .venv alone (all targets above do it too)'
	@echo 'make clean                               remove what builds and checks leave; keeps .venv, data, work_dirs'
	@echo 'PYTHON=... names the interpreter to start from (3.10 to 3.12; tested: 3.11)'

# The one that was named; else python3, or where there is none that of .venv. A path with spaces is one word.
named = $(filter command environment,$(origin PYTHON))
runs = $(shell $1 -c '' 2> /dev/null && echo yes)
one_word = $(if $(shell test -f $(call quote,$1) && echo yes),$(call quote,$1),$1)
start = $(if $(named)$(call runs,$(PYTHON)),$(call one_word,$(PYTHON)),$(if $(call runs,.venv/bin/python),.venv/bin/python,$(PYTHON)))

env:
	@$(start) -c '' 2> /dev/null || { echo "error: no $(PYTHON) that runs here: install Python 3.11, or name it: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(start) tools/misc/setup_env.py $(if $(named),--asked $(call quote,$(PYTHON)))

demo: env
	@.venv/bin/python tools/misc/demo.py $(if $(TASK),--task $(TASK)) $(if $(DATA),--data $(DATA))

test: env
	@$(RUN) -m pytest -n 2 --dist worksteal $(PYTEST_ARGS)

test-zoo: env
	@MMDIST_ZOO=all $(RUN) -m pytest -n 2 tests/zoo $(PYTEST_ARGS)

test-families: env
	@MMDIST_FAMILIES=all $(RUN) -m pytest -n 2 --dist worksteal tests/families $(PYTEST_ARGS)
	@PYTHONPATH=tests .venv/bin/python -m families.page

test-slurm: env
	@trap '$(CLUSTER) down' EXIT; trap 'exit 130' INT TERM; \
	conf=$$($(CLUSTER) up) && eval "$$conf" && $(RUN) -m pytest tests/slurm $(PYTEST_ARGS)

benchmark: env
	@$(if $(RERUN),.venv/bin/python -W ignore -m benchmarks.accuracy run --again $(RERUN))
	@$(RUN) -W ignore -m benchmarks.accuracy tables

lint: env
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .

docs: env
	@.venv/bin/python -m pip install -q --no-input -c requirements/constraints.txt -r requirements/docs.txt
	@$(RUN) -m sphinx -q -W --keep-going -E -d build/docs/doctrees docs/en build/docs/html

# The set-up's lock stays: beside one that runs, the next would make a new lock and run at the same time.
clean:
	@rm -rf build dist *.egg-info .ruff_cache .pytest_cache
	@if [ -d .cache ]; then find .cache -depth ! -type d ! -path .cache/setup/lock -delete; find .cache -depth -type d -empty -delete; fi
	@find . -path ./.venv -prune -o -type d -name __pycache__ -print0 | xargs -0 rm -rf
