"""Lays out the pages of the documentation, for mkdocs to build.

python -m docs.generate [--out DIR]
"""

import argparse
import shutil
from pathlib import Path

import matplotlib.pyplot as plt

from docs.generate.docstrings import linked
from docs.generate.laws import write_laws
from docs.generate.method_pictures import draw_methods
from docs.generate.methods import write_methods
from docs.generate.pictures import draw_laws
from docs.generate.reference import write_reference
from docs.generate.reports import write_reports
from docs.generate.tutorials import write_tutorials

DOCS = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=DOCS.parent / "build" / "docs")
    args = parser.parse_args()

    shutil.rmtree(args.out, ignore_errors=True)
    shutil.copytree(DOCS / "pages", args.out)
    for page in args.out.glob("*.md"):
        page.write_text(linked(page.read_text()))
    write_reference(args.out / "reference")
    write_laws(DOCS / "laws", args.out / "laws")
    write_methods(DOCS / "methods", args.out / "methods")
    write_reports(args.out / "results")
    write_tutorials(args.out / "tutorials")

    plt.switch_backend("Agg")
    (args.out / "pictures").mkdir()
    shutil.copy(DOCS.parent / "examples" / "digits.png", args.out / "pictures")
    draw_laws(args.out / "pictures" / "laws")
    draw_methods(args.out / "pictures" / "methods")
    print(f"Wrote {len(list(args.out.rglob('*.md')))} pages to {args.out}")


if __name__ == "__main__":
    main()
