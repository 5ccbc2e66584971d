"""Every example runs, with the few steps of ``--smoke``, and leaves what it promises."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.common import ROOT, cifar_root, mnist_root

FOLDER = ROOT / "examples"

# module: what a smoke run of it writes
EXAMPLES = {
    "digits": ["posterior.nc", "*.png"],
    "going_on": ["going_on.json"],
    "mnist": ["lenet_300_100-mnist-*.json", "*.safetensors", "*.png"],
    "mnist_table": ["README.md", "lenet_300_100.png"],
    "cifar": ["resnet20-cifar10_jpeg-*.json", "*.safetensors", "*.png"],
    "cifar_table": ["README.md", "cifar10_jpeg.png"],
    "benchmarks.step_time": ["step_time.json"],
    "benchmarks.step_memory": ["step_memory.json"],
    "benchmarks.architecture_step": ["architecture_step.json"],
    "benchmarks.architecture_memory": ["architecture_memory.json"],
    "benchmarks.attention_step": ["attention_step.json"],
    "benchmarks.gate_sampling": ["gate_sampling.json"],
    "benchmarks.prediction_memory": ["prediction_memory.json"],
    "benchmarks.compact_latency": ["compact_latency.json"],
    "benchmarks.prediction": ["prediction.json"],
    "benchmarks.run": ["gate_sampling.json"],
    "benchmarks.time_to_error": ["time_to_error.json"],
    "feature_selection": ["results.json", "planted.nc", "planted_forest.png", "features.png"],
    "uncertainty": ["uncertainty.png", "uncertainty.json"],
    "arviz_tutorial": ["forest.png", "density.png", "predictive_check.png", "sparse.nc"],
    "horseshoe": ["horseshoe.json"],
    "regression": ["regression.png", "regression.json"],
    "own_distribution": ["own_distribution.json"],
    "distributed": ["distributed.json"],
    "transformer": ["transformer.json", "transformer.png"],
    "sweep": ["sweep.json", "sweep.png"],
    "studies.gradient_variance": ["gradient_variance.png", "gradient_variance.json"],
    "studies.hard_concrete": ["hard_concrete.png"],
    "studies.log_uniform_kl": ["log_uniform_kl.png", "log_uniform_kl.json"],
    "studies.mixture_gates": ["mixture_gates.png"],
}

# what else a smoke run is told; a test without the data is skipped
ARGUMENTS = {
    "mnist": lambda: ["--data-root", str(mnist_root())],
    "cifar": lambda: [
        *["--data", "cifar10_jpeg", "--data-root", str(cifar_root())],
        *["--method", "budget", "vd"],
    ],
    "benchmarks.run": lambda: ["gate_sampling"],
    "benchmarks.time_to_error": lambda: ["--data-root", str(mnist_root())],
}

LONGEST = 200


def has_main(path: Path) -> bool:
    return any(
        isinstance(node, ast.If) and "__main__" in ast.unparse(node.test)
        for node in ast.parse(path.read_text()).body
    )


def test_no_example_is_missing_from_the_list() -> None:
    programs = {
        ".".join(path.relative_to(FOLDER).with_suffix("").parts)
        for path in FOLDER.rglob("*.py")
        if has_main(path)
    }

    assert programs == set(EXAMPLES)


def test_examples_are_short() -> None:
    lines = {p.name: len(p.read_text().splitlines()) for p in FOLDER.glob("*.py")}

    assert not {name: count for name, count in lines.items() if count > LONGEST}


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_smoke(example: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", f"examples.{example}", *ARGUMENTS.get(example, list)()]
    command += ["--smoke", "--out", str(tmp_path)]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    missing = [name for name in EXAMPLES[example] if not list(tmp_path.rglob(name))]
    assert not missing, done.stdout
