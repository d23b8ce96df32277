"""One response in the forms that editors and learning platforms send."""

import re
from collections.abc import Callable
from html import escape

WORD = (
    "<!--[if gte mso 9]><xml><w:WordDocument><w:View>Normal</w:View></w:WordDocument></xml><![endif]-->"
    "<p class=MsoNormal><span lang=EN-GB style='font-size:12.0pt;\nline-height:115%;"
    'font-family:"Calibri",sans-serif\'>{}<o:p></o:p></span></p>'
)


def _sentences(text: str) -> list[str]:
    return re.split(r"(?<=[.!?]) ", escape(text))


FORMS: dict[str, Callable[[str], str]] = {
    "p": lambda text: f"<p>{escape(text)}</p>",
    "br between sentences": lambda text: "<br>".join(_sentences(text)),
    "nbsp at both ends": lambda text: f"&nbsp;{escape(text)}&nbsp;",
    "list": lambda text: "<ul>\n" + "".join(f"  <li>{sentence}</li>\n" for sentence in _sentences(text)) + "</ul>",
    "div with style": lambda text: f'<div style="color: rgb(0, 0, 0); text-align: left;">{escape(text)}<br></div>\r\n',
    "Word's span": lambda text: WORD.format(escape(text)),
    "numeric entities": lambda text: "".join(f"&#{ord(character)};" for character in text),
    "unclosed p": lambda text: f"<p>{escape(text)}",
}
