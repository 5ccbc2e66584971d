"""Rows of the result tables, read from the JSON files that the examples wrote."""

__all__ = ["merged", "rows_of", "settings_of"]

import functools
import re
from collections.abc import Iterator, Sequence
from typing import Any

from examples.lenet.methods import METHODS, method_for
from examples.mnist_table import RESULTS, collect, merge, published_text
from examples.support.table import as_markdown

LONG = re.compile(r"\d+\.\d{7,}")  # what single precision makes of a short number
HEAD = ["method", "seeds", "error, %", "architecture", "weights", "x", "epochs", "published"]


@functools.cache
def merged() -> dict[tuple[str, str], dict[str, Any]]:
    """Results on MNIST, one row for all seeds, by network and method."""
    return {
        (net, method): merge(rows)
        for (net, data), methods in collect(RESULTS).items()
        if data == "mnist"
        for method, rows in methods.items()
    }


def rows_of(methods: Sequence[str]) -> Iterator[str]:
    """A section with the results of some methods, of those that were run.

    Args:
        methods: Names of methods of `examples.mnist`.
    """
    if not methods:
        return

    yield "## Results on MNIST"
    rows = {key: row for key, row in merged().items() if key[1] in methods}
    for net in dict.fromkeys(net for net, _ in rows):
        lines = [_line(row) for name in methods if (row := rows.get((net, name)))]
        yield f"`{net}`, trained by `python -m examples.mnist`:"
        shown = len(HEAD) - (not any(line[-1] for line in lines))
        yield as_markdown(HEAD[:shown], [line[:shown] for line in lines])

    missing = [METHODS[name].title for name in methods if not any(key[1] == name for key in rows)]
    if missing:
        yield f"Not run: {', '.join(missing)}."
    yield (
        "Weights are those that are left, x is how often they go into the dense network's "
        "([conventions](../conventions.md#counting)). "
        "All methods beside each other, with the commands: [MNIST](../results/mnist.md)."
    )


def settings_of(name: str) -> str:
    """A table with the settings of a method.

    Args:
        name: Name of a method of `examples.mnist`.
    """
    method = method_for("lenet_300_100", name)
    given = {
        "priors": {key: law for key, law in method.priors.items() if key != "gate_dim"},
        "guide": method.guide,
        "learning rates": f"{method.lr:g}, of gates {method.gate_lr:g}",
        "weight of divergences": f"{method.kl_weight:g}",
        "warm-up": " to ".join(f"{share:g}" for share in method.warm_up) + " of the training",
        "dense training before": f"{method.pretrain} epochs" if method.pretrain else "",
        "budget": f"{method.budget:g} of the weights" if method.budget else "",
    }
    rows = [[key, _plain(value)] for key, value in given.items() if value]
    return as_markdown([method.title, ""], rows)


def _line(row: dict[str, Any]) -> list[str]:
    return [
        row["title"],
        str(row["seeds"]),
        f"{row['error']:.2f}",
        row["architecture"],
        f"{row['nonzeros']:,.0f}",
        f"{row['compression']:.1f}",
        str(row["epochs"]),
        published_text(row["net"], row["method"]),
    ]


def _plain(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)

    named = (f"{key} `{_law(law)}`" for key, law in value.items())
    return LONG.sub(lambda found: f"{float(found[0]):.6g}", ", ".join(named))


def _law(law: Any) -> str:
    """As it prints; where that leaves the parameters out, with them."""
    text = str(getattr(law, "__name__", law))
    if not text.endswith("()"):
        return text.replace("logits: (), ", "")

    given = (f"{key}: {getattr(law, key):g}" for key in law.arg_constraints)
    return f"{text[:-1]}{', '.join(given)})"
