"""Turn a response as an editor sends it (HTML) into the text that the learner wrote.

A plain HTML parser reads `a<b and b>c` as bold.  Here a tag is mark-up only if HTML knows it and its attributes;
all else stays as the learner wrote it.  The standard library's parser is not used: on some texts its time grows with
the square of their length (Python 3.11).  Here one pattern finds the tags, and the search goes on where a match ends,
so no character is read twice and the time grows with the length.
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
    "textarea time track tt u var video wbr xml"  # xml: what Word pastes
)
OFFICE = re.compile(r"(?:m|o|st\d|v|w|x):[a-z]\w*", re.ASCII)  # Word's `<o:p>`
# One letter looks like mathematics: mark-up only where the end tag follows.
ONE_LETTER = frozenset("abiqsu")
# Learners put the names of quantities and things into angle brackets, `<distance>/<time>`: mark-up only where the
# end tag follows or an attribute has a value.
EVERYDAY_WORDS = _words(
    "area audio base body button canvas data details dialog embed figure footer form frame head header input label "
    "link main map mark menu meter object output picture progress search section select source summary template time "
    "title track video"
)
# No reader sees their content.
UNSEEN = {name: re.compile(rf"</{name}\s*>", re.ASCII | re.IGNORECASE) for name in ("script", "style", "xml")}
# Attributes that stand without a value.  Names that are words of a sentence (`for`, `is`, `low`) are not here.
BARE_ATTRIBUTES = _words(
    "accesskey align allowfullscreen alt async autofocus autoplay bgcolor border cellpadding cellspacing checked "
    "class clear colspan compact contenteditable controls defer dir disabled download draggable face height "
    "hidden href hreflang hspace id ismap itemprop itemscope lang loop multiple muted name nohref noresize "
    "noshade novalidate nowrap open readonly rel required reversed rowspan scope selected spellcheck src srcset "
    "start style tabindex target title translate type usemap valign value vspace width xmlns"
)
PREFIXED_ATTRIBUTE = re.compile(r"(?:aria|data)-\S+")

ATTRIBUTE = r"""(?:[\s/]++|(?<=["']))[^\s"'<>/=]++(?:\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s"'<>]++))?+"""
# All that follows the name is optional: a match never fails after it, so the search never goes back.
POSSIBLE_TAG = re.compile(
    rf"<(?:(?P<hidden>!--|!\[(?:if[^\]<>]{{0,200}}|endif)\]>|!doctype\b[^<>]{{0,500}}>|\?xml\b[^<>]{{0,500}}>)"
    rf"|(?P<end>/?)(?P<name>[a-z][a-z0-9]*+(?::[a-z]\w*+)?+)(?P<attributes>(?:{ATTRIBUTE})*+)(?P<close>[\s/]*+>)?)",
    re.ASCII | re.IGNORECASE,
)
ATTRIBUTE_AND_VALUE = re.compile(r"""([^\s"'<>/=]++)(\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s"'<>]++))?+""", re.ASCII)
RAISED = re.compile(r"[+\-\u2212\u2013]?[0-9]+(?:[.,][0-9]+)?")  # an exponent: ordinals (1st) and ions (2+) are none
LONGEST_ENTITY = 34
ENTITY = re.compile(r"&(#[0-9]{1,8}|#[xX][0-9a-fA-F]{1,7}|[A-Za-z][A-Za-z0-9]{1,31});")


@dataclass(frozen=True, slots=True)
class PossibleTag:
    """A piece of the text that may be mark-up: a tag, or with an empty name what no reader sees, a comment say."""

    start: int
    stop: int
    name: str = ""
    ends: bool = False
    has_values: bool = False


def plain_text(sent: str) -> str:
    """Return the text that the learner wrote.  A text without mark-up comes back unchanged.

    Starts and ends of blocks become one space, other tags vanish; before a number that is raised over a digit, a
    letter or a bracket stands `^`.  Entities that end in `;` are decoded once.  With any mark-up, the white space at
    both ends goes too.
    """
    if "<" not in sent and "&" not in sent:
        return sent
    runs = [_decoded(run) for run in _runs(sent)]
    if runs == [sent]:
        return sent
    return " ".join(text for run in runs if (text := run.strip())).replace("\xa0", " ")  # an editor's `&nbsp;` too


def _runs(sent: str) -> list[str]:
    """Return the text without its tags, divided where a block starts or ends."""
    marks = list(possible_tags(sent)) if "<" in sent else []
    last_end = {mark.name: number for number, mark in enumerate(marks) if mark.ends}
    started: set[str] = set()  # elements that need an end tag, and have a start tag that is mark-up
    runs, pieces, done = [], list[str](), 0
    base = ""  # the last text of the run that is not empty
    raised: int | None = None  # the place of a superscript among the pieces of the run
    for number, mark in enumerate(marks):
        name = mark.name
        if name in ONE_LETTER or name in EVERYDAY_WORDS:
            if mark.ends and name not in started:
                continue
            alone = mark.has_values and name in EVERYDAY_WORDS
            if not mark.ends and not alone and last_end.get(name, -1) < number:
                continue
            started.add(name)
        pieces.append(sent[done : mark.start])
        done = mark.stop
        base = pieces[-1] or base
        if name in BLOCKS:
            runs.append("".join(pieces))
            pieces, base, raised = [], "", None
        elif name == "sup" and not mark.ends:
            raised = len(pieces) if _bears(base) else None
        elif name == "sup" and raised is not None:
            if RAISED.fullmatch(_decoded("".join(pieces[raised:])).strip()):
                pieces.insert(raised, "^")
            raised = None
    return [*runs, "".join([*pieces, sent[done:]])]


def _bears(base: str) -> bool:
    """Return whether a number raised behind the text is an exponent of it."""
    last = _decoded(base[-LONGEST_ENTITY:])[-1:]
    return last.isalnum() or last in (")", "]", "}")


def _decoded(text: str) -> str:
    return ENTITY.sub(lambda entity: _character(entity[0], entity[1]), text)


def possible_tags(sent: str) -> Iterator[PossibleTag]:
    """Yield every piece that may be mark-up, in order; no two overlap."""
    place, last_comment_end = 0, sent.rfind("-->")
    unclosed: set[str] = set()
    while found := POSSIBLE_TAG.search(sent, place):
        place = found.end()
        if hidden := found["hidden"]:
            if hidden == "!--":
                if last_comment_end < place:
                    continue
                place = sent.index("-->", place) + len("-->")
            yield PossibleTag(found.start(), place)
            continue
        name, ends = found["name"].lower(), bool(found["end"])
        if not found["close"] or not (name in BLOCKS or name in INLINE or OFFICE.fullmatch(name)):
            continue
        given = ATTRIBUTE_AND_VALUE.findall(found["attributes"])
        if (ends and given) or not all(value or _stands_bare(attribute.lower()) for attribute, value in given):
            continue
        if name in UNSEEN and not ends:
            end = None if name in unclosed else UNSEEN[name].search(sent, place)
            if end is None:
                unclosed.add(name)
                continue
            place = end.end()
            yield PossibleTag(found.start(), place)
            continue
        yield PossibleTag(found.start(), place, name, ends, any(value for _, value in given))


def _stands_bare(attribute: str) -> bool:
    return attribute in BARE_ATTRIBUTES or PREFIXED_ATTRIBUTE.fullmatch(attribute) is not None


@lru_cache(maxsize=1024)  # some platforms send every letter that is not ASCII as an entity
def _character(entity: str, name: str) -> str:
    """Return the character of an entity; the entity itself, if HTML has none of that name.  Spaces become ` `."""
    decoded = unescape(entity) if name[0] == "#" else html5.get(f"{name};", entity)
    return " " if decoded.isspace() and decoded not in "\t\n\r" else decoded
