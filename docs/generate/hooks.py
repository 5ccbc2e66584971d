"""What mkdocs runs on each page: formulas become MathML, which browsers draw by themselves."""

import html
import re
from typing import Any

from latex2mathml.converter import convert

# What the converter leaves of commands and environments that it does not know.
UNKNOWN = re.compile(r"<m[iot]>(\\|&</)")
# Spaces of TeX that the converter leaves out: beside a function's name, and around a relation.
BEFORE = re.compile(r"(?<=>)(?<!row>)(?<!td>)(?<!mo>)(?=<mi>(?:log|exp)</mi>)")
AFTER = re.compile(r"(?<=<mi>log</mi>)(?!<mo|<mrow><mo)")
THIN = '<mspace width="0.17em"/>'
SIMILAR = ("<mi>&#x0007E;</mi>", "<mo>&#x0223C;</mo>")
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def on_page_content(content: str, **kwargs: Any) -> str:
    """Draws the formulas of a page, and bars in cells that were escaped for GitHub."""
    return FORMULA.sub(_drawn, content).replace(r"<code>\|</code>", "<code>|</code>")


def _drawn(found: re.Match[str]) -> str:
    display = "block" if found[2] == "[" else "inline"
    math = convert(html.unescape(found[3]).strip(), display=display)
    if UNKNOWN.search(math):
        raise ValueError(f"latex2mathml does not know all of this formula: {found[3]}")
    math = AFTER.sub(THIN, BEFORE.sub(THIN, math)).replace(*SIMILAR)
    return f'<div class="formula">{math}</div>' if display == "block" else math
