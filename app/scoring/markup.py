"""Turn a response from an editor (HTML) into the text that the learner wrote.

An HTML parser reads `a<b and b>c` as bold.  Here a tag is mark-up only if HTML has the tag and its attributes;
everything else stays as the learner wrote it.  The parser of the standard library takes quadratic time on some texts
(Python 3.11).  Here one pattern finds the tags, and the search continues at the end of each match, so the time is
linear.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from html import unescape
from html.entities import html5


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


BLOCKS = _words(
    "address article aside blockquote body br caption center col colgroup dd details dialog dir div dl dt fieldset "
    "figcaption figure footer form frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html legend li main menu nav "
    "noframes ol optgroup option p pre search section summary table tbody td tfoot th thead title tr ul"
)
INLINE = _words(
    "a abbr acronym applet area audio b base basefont bdi bdo big button canvas cite code data datalist del dfn em "
    "embed font frame i iframe img input ins kbd label link map mark meta meter nobr noscript object output param "
    "picture progress q rp rt ruby s samp script select slot small source span strike strong style sub sup template "
    "textarea time track tt u var video wbr xml"  # xml: pasted by Word
)
OFFICE = re.compile(r"(?:m|o|st\d|v|w|x):[a-z]\w*", re.ASCII)  # Word's `<o:p>`
# A single letter may be mathematics, so these elements are mark-up only with an end tag.
ONE_LETTER = frozenset("abiqsu")
# Learners write names of quantities in angle brackets, as in `<distance>/<time>`, so these elements are mark-up only
# with an end tag or with the value of an attribute.
EVERYDAY_WORDS = _words(
    "area audio base body button canvas data details dialog embed figure footer form frame head header input label "
    "link main map mark menu meter object output picture progress search section select source summary template time "
    "title track video"
)
# Browsers do not show the content of these elements.
HIDDEN = {name: re.compile(rf"</{name}\s*>", re.ASCII | re.IGNORECASE) for name in ("script", "style", "xml")}
# Attributes that may have no value.  Names that are also common words (`for`, `is`, `low`) are missing on purpose.
BARE_ATTRIBUTES = _words(
    "accesskey align allowfullscreen alt async autofocus autoplay bgcolor border cellpadding cellspacing checked "
    "class clear colspan compact contenteditable controls defer dir disabled download draggable face height "
    "hidden href hreflang hspace id ismap itemprop itemscope lang loop multiple muted name nohref noresize "
    "noshade novalidate nowrap open readonly rel required reversed rowspan scope selected spellcheck src srcset "
    "start style tabindex target title translate type usemap valign value vspace width xmlns"
)
PREFIXED_ATTRIBUTE = re.compile(r"(?:aria|data)-\S+")

ATTRIBUTE = r"""(?:[\s/]++|(?<=["']))[^\s"'<>/=]++(?:\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s"'<>]++))?+"""
# Everything after the name is optional, so a match cannot fail there and the search never backtracks.
POSSIBLE_TAG = re.compile(
    rf"<(?:(?P<hidden>!--|!\[(?:if[^\]<>]{{0,200}}|endif)\]>|!doctype\b[^<>]{{0,500}}>|\?xml\b[^<>]{{0,500}}>)"
    rf"|(?P<end>/?)(?P<name>[a-z][a-z0-9]*+(?::[a-z]\w*+)?+)(?P<attributes>(?:{ATTRIBUTE})*+)(?P<close>[\s/]*+>)?)",
    re.ASCII | re.IGNORECASE,
)
ATTRIBUTE_AND_VALUE = re.compile(r"""([^\s"'<>/=]++)(\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s"'<>]++))?+""", re.ASCII)
EXPONENT = re.compile(r"[+\-\u2212\u2013]?[0-9]+(?:[.,][0-9]+)?")  # not ordinals (1st) and ions (2+)
LONGEST_ENTITY = 34
ENTITY = re.compile(r"&(#[0-9]{1,8}|#[xX][0-9a-fA-F]{1,7}|[A-Za-z][A-Za-z0-9]{1,31});")


@dataclass(frozen=True, slots=True)
class PossibleTag:
    """A part of the text that may be a tag.  Parts that browsers do not show have an empty name."""

    start: int
    stop: int
    name: str = ""
    ends: bool = False
    has_values: bool = False


def plain_text(sent: str) -> str:
    """Return the text that the learner wrote.  A text without mark-up is returned unchanged.

    Start and end tags of blocks become one space; other tags are removed.  A superscript number after a digit, letter
    or bracket gets a `^`.  Entities that end in `;` are decoded once.  If the text has any mark-up, white space at both
    ends is removed too.
    """
    if "<" not in sent and "&" not in sent:
        return sent
    blocks = [_decoded(block) for block in _blocks(sent)]
    if blocks == [sent]:
        return sent
    stripped = [block.strip() for block in blocks]
    text = " ".join(block for block in stripped if block)
    return text.replace("\xa0", " ")  # Editors send `&nbsp;` for spaces.


def _blocks(sent: str) -> list[str]:
    """Return the text without tags, divided at starts and ends of blocks."""
    blocks, block, done = [], _Block(), 0
    for tag in _tags(sent):
        block.add(sent[done : tag.start])
        done = tag.stop
        if tag.name in BLOCKS:
            blocks.append(block.text)
            block = _Block()
        elif tag.name == "sup" and not tag.ends:
            block.start_superscript()
        elif tag.name == "sup":
            block.end_superscript()
    block.add(sent[done:])
    return [*blocks, block.text]


def _tags(sent: str) -> Iterator[PossibleTag]:
    """Yield the tags that are mark-up."""
    tags = list(possible_tags(sent)) if "<" in sent else []
    last_end = {tag.name: number for number, tag in enumerate(tags) if tag.ends}
    started: set[str] = set()  # elements that need an end tag, and whose start tag is mark-up
    for number, tag in enumerate(tags):
        name = tag.name
        if name in ONE_LETTER or name in EVERYDAY_WORDS:
            if tag.ends and name not in started:
                continue
            needs_end = not (tag.has_values and name in EVERYDAY_WORDS)
            if not tag.ends and needs_end and last_end.get(name, -1) < number:
                continue
            started.add(name)
        yield tag


class _Block:
    """The text of one block, put together piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._last = ""  # the last piece that is not empty
        self._superscript: int | None = None  # index of the first piece of an open superscript

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def add(self, piece: str) -> None:
        self._pieces.append(piece)
        self._last = piece or self._last

    def start_superscript(self) -> None:
        self._superscript = len(self._pieces) if _takes_exponent(self._last) else None

    def end_superscript(self) -> None:
        """Put `^` before a superscript that is an exponent."""
        if self._superscript is None:
            return
        superscript = _decoded("".join(self._pieces[self._superscript :]))
        if EXPONENT.fullmatch(superscript.strip()):
            self._pieces.insert(self._superscript, "^")
        self._superscript = None


def _takes_exponent(base: str) -> bool:
    """Return whether a superscript number after the text is an exponent."""
    last = _decoded(base[-LONGEST_ENTITY:])[-1:]
    return last.isalnum() or last in (")", "]", "}")


def _decoded(text: str) -> str:
    return ENTITY.sub(lambda entity: _character(entity[0], entity[1]), text)


def possible_tags(sent: str) -> Iterator[PossibleTag]:
    """Yield every part that may be a tag, in order and without overlaps."""
    place, last_comment_end = 0, sent.rfind("-->")
    unclosed: set[str] = set()
    while match := POSSIBLE_TAG.search(sent, place):
        place = match.end()
        if hidden := match["hidden"]:
            if hidden == "!--":
                if last_comment_end < place:
                    continue
                place = sent.index("-->", place) + len("-->")
            yield PossibleTag(match.start(), place)
            continue
        name, ends = match["name"].lower(), bool(match["end"])
        if not match["close"] or not (name in BLOCKS or name in INLINE or OFFICE.fullmatch(name)):
            continue
        attributes = ATTRIBUTE_AND_VALUE.findall(match["attributes"])
        bare = [attribute.lower() for attribute, value in attributes if not value]
        if (ends and attributes) or not all(map(_may_be_bare, bare)):
            continue
        if name in HIDDEN and not ends:
            end = None if name in unclosed else HIDDEN[name].search(sent, place)
            if end is None:
                unclosed.add(name)
                continue
            place = end.end()
            yield PossibleTag(match.start(), place)
            continue
        yield PossibleTag(match.start(), place, name, ends, has_values=len(bare) < len(attributes))


def _may_be_bare(attribute: str) -> bool:
    return attribute in BARE_ATTRIBUTES or PREFIXED_ATTRIBUTE.fullmatch(attribute) is not None


@lru_cache(maxsize=1024)  # Some platforms send every letter outside ASCII as an entity.
def _character(entity: str, name: str) -> str:
    """Return the character of an entity, spaces as ` `; the entity itself if HTML has no entity of that name."""
    decoded = unescape(entity) if name[0] == "#" else html5.get(f"{name};", entity)
    return " " if decoded.isspace() and decoded not in "\t\n\r" else decoded
