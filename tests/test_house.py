"""The project around the code: make, versions, licence, and what importing the package does."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pyro_sparse
from tests.common import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# An interpreter as make sees it: arguments are handed to the real one after `{before}`.
PRETENDER = """#!/bin/sh
exec "{python}" -c 'import sys; {before}; exec(sys.argv[2])' "$@"
"""

# An interpreter whose environments record what they are asked to run.
RECORDER = """#!/bin/sh
if [ "$1" = -m ] && [ "$2" = venv ]; then
    mkdir -p "$3/bin"
    printf '#!/bin/sh\\necho "$@" >> asked\\n' > "$3/bin/python"
    chmod +x "$3/bin/python"
else
    exec "{python}" "$@"
fi
"""


def program(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    kept.pop("MFLAGS", None)

    return subprocess.run(["make", *words], cwd=folder, env=kept, capture_output=True, text=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What make reads, in a folder of its own."""
    for name in ["Makefile", "pyproject.toml"]:
        shutil.copy(ROOT / name, tmp_path)

    return tmp_path


@pytest.mark.parametrize(
    ("before", "complaint"),
    [
        ("sys.exit(1)", "was not found or does not run"),
        ("sys.version_info = (3, 10, 13)", "is Python 3.10, but 3.11 or later is needed"),
        ("sys.version_info = (2, 7, 18)", "is Python 2.7, but 3.11 or later is needed"),
        ('sys.modules["venv"] = None', "has no venv module"),
        ('sys.modules["ensurepip"] = None', "has no venv module"),
    ],
)
@pytest.mark.parametrize("goal", ["demo", "test"])
def test_make_refuses_an_interpreter_in_one_line(
    project: Path, goal: str, before: str, complaint: str
) -> None:
    python = program(
        project / "some python", PRETENDER.format(python=sys.executable, before=before)
    )
    done = make(project, goal, f"PYTHON={python}")

    assert done.returncode != 0
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert complaint in done.stderr
    assert "make PYTHON=" in done.stderr
    assert not (project / ".venv").exists()


def test_make_refuses_a_missing_interpreter_in_one_line(project: Path) -> None:
    done = make(project, "test", "PYTHON=no-such-python")

    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "'no-such-python' was not found" in done.stderr


def test_make_installs_once(project: Path) -> None:
    python = program(project / "recorder", RECORDER.format(python=sys.executable))

    def asked(goal: str) -> list[str]:
        (project / "asked").unlink(missing_ok=True)
        done = make(project, goal, f"PYTHON={python}")
        assert done.returncode == 0, done.stderr

        return [line.split()[1] for line in (project / "asked").read_text().splitlines()]

    assert asked("test") == ["pip", "pytest"]
    assert asked("test") == ["pytest"]
    assert asked("demo") == ["examples.digits"]

    stamp = next(project.glob(".venv/*/.installed"))
    assert stamp.parent.name == "{}.{}".format(*sys.version_info)
    os.utime(stamp, (0, 0))

    assert asked("demo") == ["pip", "examples.digits"]


def test_a_failed_install_is_tried_again(project: Path) -> None:
    text = RECORDER.replace(">> asked", ">> asked; exit 1")
    python = program(project / "recorder", text.format(python=sys.executable))

    for _ in range(2):
        assert make(project, "test", f"PYTHON={python}").returncode != 0

    assert (project / "asked").read_text().count(" pip ") == 2


def test_the_version_stands_in_one_place() -> None:
    holders = [
        path.relative_to(ROOT).as_posix()
        for path in [*ROOT.glob("*"), *ROOT.glob("pyro_sparse/**/*.py")]
        if path.is_file() and pyro_sparse.__version__ in path.read_text(errors="replace")
    ]

    assert "version" in PROJECT["dynamic"]
    assert holders == ["CHANGELOG.md", "pyro_sparse/__init__.py"]


def test_the_tools_are_pinned_alike() -> None:
    hooks = re.findall(r"\[(ruff==.+?)\]", (ROOT / ".pre-commit-config.yaml").read_text())
    extra = [line.replace(" ", "") for line in PROJECT["optional-dependencies"]["dev"]]

    assert hooks
    assert set(hooks) <= set(extra)
    assert any(line.startswith("mypy==") for line in extra)


def test_run_time_requirements_are_lower_bounds() -> None:
    assert [re.split(r"\W+", line)[0] for line in PROJECT["dependencies"]] == ["pyro", "torch"]
    assert all(re.fullmatch(r"[\w-]+ >= [\d.]+", line) for line in PROJECT["dependencies"])


def test_the_licence_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text()

    assert PROJECT["license"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_gate_can_be_run() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)

    checked = subprocess.run(["bash", "-n", ROOT / ".ci" / "run"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


IMPORT = r"""
import logging, os, random, sys, warnings

import numpy, pyro, pyro.poutine.runtime, torch, torch.distributions.kl as kl

SPACES = [torch, torch.Tensor, torch.nn, torch.nn.functional, torch.nn.Module, torch.nn.Linear,
          torch.autograd, torch.distributions, torch.distributions.Distribution, kl, pyro,
          pyro.distributions, pyro.infer, pyro.poutine, pyro.poutine.runtime]

def plain(space):
    names = vars(space).items()
    return {n: id(v) for n, v in names if type(v) is not type(sys) and not n.startswith("__")}

def state():
    return {
        "names": [plain(space) for space in SPACES],
        "validation": torch.distributions.Distribution._validate_args,
        "settings": pyro.settings.get(),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "threads": torch.get_num_threads(),
        "grad": torch.is_grad_enabled(),
        "generators": [torch.get_rng_state().tolist(), random.getstate(),
                       str(numpy.random.get_state())],
        "params": list(pyro.get_param_store()),
        "stack": list(pyro.poutine.runtime._PYRO_STACK),
        "warnings": list(warnings.filters),
        "logging": [logging.root.level, list(logging.root.handlers)],
        "path": list(sys.path),
        "environment": dict(os.environ),
    }

before, rules = state(), dict(kl._KL_REGISTRY)
import pyro_sparse
after = state()

print("changed:", [name for name in before if before[name] != after[name]])
print("lost:", [pair for pair in rules if kl._KL_REGISTRY.get(pair) is not rules[pair]])
print("strange:", [rule for pair, rule in kl._KL_REGISTRY.items()
                   if pair not in rules and not rule.__module__.startswith("pyro_sparse.")])
print("heavy:", sorted({"arviz", "matplotlib", "onnx", "onnxruntime", "pandas", "safetensors",
                        "scipy", "sklearn", "torchmetrics", "torchvision", "xarray"}
                       & set(sys.modules)))
print("added:", len(kl._KL_REGISTRY) > len(rules))
"""


def test_importing_adds_rules_and_changes_nothing_else(tmp_path: Path) -> None:
    run = [sys.executable, "-W", "error", "-c", IMPORT]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "changed: []",
        "lost: []",
        "strange: []",
        "heavy: []",
        "added: True",
    ]
