"""Formulas as browsers draw them."""

from docs.generate.hooks import on_page_content


def test_functions_and_relations_have_space_around_them() -> None:
    drawn = on_page_content(r'<span class="arithmatex">\(a \log b \sim c, \log(d)\)</span>')
    space = '<mspace width="0.17em"/>'

    assert f"<mi>a</mi>{space}<mi>log</mi>{space}<mi>b</mi><mo>&#x0223C;</mo>" in drawn
    assert "<mi>log</mi><mo" in drawn
