"""Runs one benchmark and keeps its result, or writes all results down.

    python -m examples.benchmarks.run QUESTION [options of that benchmark]
    python -m examples.benchmarks.run report

A result goes to examples/benchmarks/results; `report` puts the tables of all of them into the
README beside it, and draws the pictures.
"""

import argparse
import importlib
import sys

from examples.benchmarks.report import HERE, QUESTIONS, question, write_report


def main() -> None:
    lines = "\n".join(f"  {name:<20}{question(name)}" for name in QUESTIONS)
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=f"questions:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("question", choices=[*QUESTIONS, "report"], metavar="QUESTION")
    args, options = parser.parse_known_args()
    if args.question == "report":
        write_report()
        return

    if not any(option.startswith("--out") for option in options):
        options += ["--out", str(HERE / "results")]
    sys.argv = [f"{parser.prog} {args.question}", *options]
    importlib.import_module(f"examples.benchmarks.{args.question}").main()


if __name__ == "__main__":
    main()
