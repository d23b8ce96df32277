import sys
from collections import Counter
from collections.abc import Callable
from html import escape
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.scoring.markup import BLOCKS, plain_text, possible_tags
from app.scoring.text import MAX_SENT, is_blank

SIGNS = Path(__file__).with_name("signs.txt").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    "text",
    [
        "a<b and b>c",  # an HTML parser reads bold
        "a<b",
        "p<q>r",
        "3 < 5",
        "<density>",
        "R&D",
        "AT&T",
        "&x",
        "&copy 3",  # without `;`
        "&distance;",  # not an entity of HTML
        "&#x;",
        "<time>/<distance>",  # an element of HTML and a quantity
        "the </b> tag",
        "x<a",
        "<p is low>",  # neither `is` nor `low` is an attribute without value
        "a </ b> c",
        "a <! b > c",
        "a<?b>c",
        "a <- b -> c",
        "<!-- no end",
        "<style> no end",
        "<math><mi>x</mi></math>",  # MathML would lose its fractions and powers
        "<p<q>",
        "p=<.05>",
        '<p a="no end',
        "  two\n\nlines \u00a0",
    ],
)
def test_text_without_mark_up_is_unchanged(text: str) -> None:
    assert plain_text(text) == text


def test_200_texts_of_mathematics_and_chemistry_are_unchanged() -> None:
    assert len(SIGNS) == len(set(SIGNS)) == 200
    assert all("<" in text or "&" in text for text in SIGNS)
    assert [text for text in SIGNS if plain_text(text) != text] == []


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        ("<p>warm air</p>", "warm air"),
        ("<p>warm</p><p>air</p>", "warm air"),
        ("<p>warm</p>\r\n\r\n<p>air</p>\n", "warm air"),
        ("<P CLASS=MsoNormal>warm</P>", "warm"),
        ("warm<br>air<br/>goes<BR />up", "warm air goes up"),
        ("warm <br> air", "warm air"),
        ("<ul>\n  <li>warm</li>\n  <li>air</li>\n</ul>", "warm air"),
        ("<table><tr><td>1</td><td>2</td></tr></table>", "1 2"),
        ("<p>warm", "warm"),
        ("warm</p>", "warm"),
        ("</div>", ""),
        ("H<sub>2</sub>O", "H2O"),  # no space
        ("10<sup>3</sup> kg", "10^3 kg"),  # as learners write it without an editor
        ("m<SUP>2</SUP>s<sup>-1</sup>, 10<sup>&minus;3,5</sup>", "m^2s^-1, 10^−3,5"),
        ('(a<sub>1</sub>+b)<sup><span lang="en">2</span></sup>', "(a1+b)^2"),
        ("<i>x</i><sup>2</sup> + &alpha;<sup> 2 </sup>", "x^2 + α^ 2"),
        ("1<sup>st</sup>, Ca<sup>2+</sup>, SO<sub>4</sub><sup>2&minus;</sup>", "1st, Ca2+, SO42−"),
        (
            "the isotope <sup>14</sup>C; 10^<sup>3</sup>",
            "the isotope 14C; 10^3",
        ),  # without a base, or not a number
        ("<p>10</p><sup>3</sup> 1<sup>2<br>3</sup> 4<sup>5", "10 3 12 3 45"),  # in another block, divided, unclosed
        ("wa<b>rm</b> <i>air</i>", "warm air"),
        ("<b>x<b>y</b>", "xy"),
        ('<b class="x">y', '<b class="x">y'),  # a letter without its end tag
        ("x<y and <b>z</b>", "x<y and z"),
        ("p<q>r is <q>said</q>", "pr is said"),  # an end tag follows the first `<q>` too
        ('<a href="x>y">z</a>', "z"),
        ("<a href=http://x.example/?a=b>z</a>", "z"),
        ("<input type=checkbox checked> warm", "warm"),
        ('<p id="x"class="y"/>warm', "warm"),
        ("<div data-x aria-y>warm</div>", "warm"),
        ('<time datetime="2026">May', "May"),  # a word with an attribute
        ("<time>May</time>", "May"),
        ('<span style="font-size:12.0pt;\nmso-fareast-language:EN-US">warm<o:p></o:p></span>', "warm"),
        ("<!--[if gte mso 9]><xml><w:WordDocument>0</w:WordDocument></xml><![endif]-->warm", "warm"),
        ("<![if !supportLists]>1. <![endif]>warm", "1. warm"),
        ('<?xml:namespace prefix = o ns = "urn:schemas-microsoft-com:office:office" />warm', "warm"),
        ("<style><!-- p {margin: 0} --></style><p>warm</p>", "warm"),
        ("<style>p > b {}</style ><SCRIPT>if (a<b) {}</script>warm", "warm"),
        ("<!DOCTYPE html><html><body>warm</body></html>", "warm"),
        ('<img src="@@PLUGINFILE@@/x.png" alt="x">', ""),
        ("&lt;b&gt; warm &lt;/b&gt;", "<b> warm </b>"),  # entities are decoded after tags: a learner wrote these
        ("&amp;lt;", "&lt;"),  # once
        ("&amp;amp;nbsp;", "&amp;nbsp;"),
        ("3 &lt; 5 &amp;&amp; x", "3 < 5 && x"),
        ("it&#39;s &#x2192; &rarr; &hellip;", "it's → → …"),
        ("&nbsp;warm&nbsp; air &nbsp;", "warm  air"),
        ("5&thinsp;kg&#160;&#xA0;&ensp;", "5 kg"),
        ("<p>warm\u00a0air\u00a0</p>", "warm air"),  # as some editors send &nbsp;
        ("a<b &amp; b>c", "a<b & b>c"),
        ("&#99999999;", "\ufffd"),
        ("&#999999999;", "&#999999999;"),
        ("R&D &amp; AT&T &copy &notit;", "R&D & AT&T &copy &notit;"),
    ],
)
def test_mark_up_is_removed_and_words_stay(sent: str, text: str) -> None:
    assert plain_text(sent) == text


@pytest.mark.parametrize(
    "sent",
    [
        "<p></p>",
        "<p><br></p>",
        "&nbsp;",
        "<p>&nbsp;</p>",
        "<br>",
        "<p>&#8203;</p>",
        "<div><p><br /></p>\n</div>",
        "&#65279;",
    ],
)
def test_mark_up_without_text_is_blank(sent: str) -> None:
    assert is_blank(plain_text(sent))


TAGS = ("<", ">", "</", "<p>", "</p>", "<b", "<b>", "</b>", "<!--", "-->", "<br/>", '="', "'", "&", "&lt;", "&#", ";")
MARKED = st.lists(st.sampled_from(TAGS) | st.text(max_size=5)).map("".join)


@given(st.text().filter(lambda text: "<" not in text and "&" not in text))
def test_text_without_brackets_and_entities_is_returned_as_is(text: str) -> None:
    assert plain_text(text) is text
    assert plain_text(f"<p>{text}</p>") == text.strip().replace("\u00a0", " ")


@given(MARKED | st.text(alphabet="<>/!-&#;=\"' pbi\n"))
def test_any_text_is_read_and_characters_keep_their_order(sent: str) -> None:
    marks = list(possible_tags(sent))

    text = plain_text(sent)

    assert all(mark.stop <= later.start for mark, later in pairwise(marks))
    if not marks and ";" not in sent:
        assert text == sent
    text.encode()  # no entity becomes a lone surrogate
    assert "\0" not in text or "\0" in sent


@given(MARKED)
def test_escaped_text_is_restored(text: str) -> None:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    assert plain_text(f"<div>{escaped}</div>") == text.strip().replace("\u00a0", " ")


def wrapped(inner: tuple[str, list[str]], tag: str) -> tuple[str, list[str]]:
    """Return HTML and its runs of text inside an element; a block divides the runs."""
    html, runs = inner
    return f"<{tag}>{html}</{tag.split()[0]}>", ["", *runs, ""] if tag.split()[0] in BLOCKS else runs


def joined(parts: list[tuple[str, list[str]]]) -> tuple[str, list[str]]:
    """Return the parts in sequence: the last run of a part continues in the next."""
    runs = [""]
    for _, part_runs in parts:
        runs = [*runs[:-1], runs[-1] + part_runs[0], *part_runs[1:]]
    return "".join(html for html, _ in parts), runs


LEAVES = st.text(alphabet="ab <>&;\n3=\"'").map(lambda text: (escape(text), [text]))
OPENED = st.sampled_from(["p", "div style='a: b'", "ul", "b", "i", "span class=x", "time", "sub", 'a href="x>y"', "em"])
DOCUMENTS = st.recursive(
    LEAVES, lambda inner: st.builds(wrapped, inner, OPENED) | st.lists(inner, max_size=4).map(joined), max_leaves=12
).map(lambda inner: wrapped(inner, "div"))


@given(DOCUMENTS)
def test_text_of_any_documents_blocks_is_restored(document: tuple[str, list[str]]) -> None:
    html, runs = document

    assert plain_text(html) == " ".join(text for run in runs if (text := run.strip()))


def calls_of(action: Callable[[str], Any], text: str) -> int:
    """Return the number of calls, of Python and C functions, that the action makes."""
    counted: Counter[str] = Counter()

    def count(_frame: FrameType, event: str, _: Any) -> None:
        counted[event] += 1

    sys.setprofile(count)
    try:
        action(text)
    finally:
        sys.setprofile(None)
    return counted["call"] + counted["c_call"]


@pytest.mark.parametrize(
    "unit",
    [
        "<", "<p ", "&", "<b>", "</b>", "<b></b>", "<p>", "<!--", "<!-- -->", "-->", "<p a", "<p a='", "<p a=' b='",
        "<p a='' b='\"' c=\"", "<style>", "<script>x</script>", "<xml>", "<![if ", "<?xml ", "<!doctype ", "</", "&#",
        "&amp;", "&lt", "<p\n", "<time>", "<o:p>", "<sup></sup>", "1<sup>2</sup>", "<sup>",
    ],
)  # fmt: skip
def test_work_is_linear_in_the_length(unit: str) -> None:
    few, twice, four_times = (calls_of(plain_text, unit * (units // len(unit))) for units in (2_000, 4_000, 8_000))

    plain_text(unit * (MAX_SENT // len(unit)))  # Calls miss the steps of a pattern: quadratic ones take minutes.

    assert twice <= 2 * few + 50
    assert four_times <= 2 * twice + 50
