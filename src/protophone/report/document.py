"""One HTML file around sections: style, script, sounds and pictures inside, nothing fetched, one script allowed."""

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib import resources
from importlib.metadata import version

from protophone.report.markup import name, plain
from protophone.report.sounds import SoundShelf

__all__ = ["document"]


def document(title: str, kind: str, sections: Sequence[tuple[str, str, str]], sounds: SoundShelf) -> str:
    """The page called ``title``, of ``kind``; ``sections`` are key, heading and content, the last HTML already."""
    style, script = _part("page.css"), _part("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # The browser is told to fetch nothing and to run this one script: the page stays offline and inert.
    policy = (
        f"default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    )
    shelf = json.dumps(sounds.uris).replace("<", "\\u003c")
    links = "".join(f'<a href="#{key}">{heading}</a>' for key, heading, _ in sections)
    body = "".join(
        f'<section id="{key}" aria-labelledby="{key}-title"><h2 id="{key}-title">{heading}</h2>{content}</section>'
        for key, heading, content in sections
    )
    silent = "<noscript><p class='note'>Sounds and sorting need JavaScript, which is off.</p></noscript>"
    first = sections[0][0]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{plain(title)} · sound units</title><style>{style}</style></head>\n<body>"
        f'<a class="skip" href="#{first}">Skip to the content</a>'
        f"<header><p class='kind'>{plain(kind)}</p><h1>{name(title)}</h1>"
        f'<nav aria-label="sections">{links}</nav></header>\n<main>{silent}{body}</main>\n'
        f"<footer><p>Made by protophone {plain(version('protophone'))}. This page needs no network.</p></footer>"
        f'<script type="application/json" id="sounds">{shelf}</script><script>{script}</script></body></html>\n'
    )


def _part(file: str) -> str:
    return resources.files("protophone.report").joinpath(file).read_text(encoding="utf-8")
