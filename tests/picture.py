"""The picture of the page in README.md: `python -m tests.picture` makes it with headless Chromium.

The picture carries the words and numbers of what it shows, so that a test can say when it is stale.
"""

from __future__ import annotations

import html
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

from tests.paths import ROOT

PICTURE = ROOT / "docs" / "images" / "page.png"
COMMAND = "costmodel report minilm-distilbert --task sst2 --stored --on edge-asic --html page.html"
MOST_BYTES = 200_000
WIDTH, HEIGHT = 1180, 1230  # the verdict, its table, and the first figure
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = "--headless --no-sandbox --disable-gpu --hide-scrollbars --virtual-time-budget=8000"
KEY = b"Description"
PNG_HEAD = b"\x89PNG\r\n\x1a\n"


def make_page(folder: Path) -> Path:
    """The page, as the command makes it."""
    path = folder / "page.html"
    program = str(Path(sys.executable).parent / "costmodel")
    words = [str(path) if word == "page.html" else word for word in shlex.split(COMMAND)[1:]]
    subprocess.run([program, *words], check=True, capture_output=True, cwd=ROOT)
    return path


def shown(page: str) -> str:
    """The words of what the picture shows: from the heading down to the second figure."""
    body = page[page.index("<h1") :]
    first = body[: body.index("</figure>")]
    text = re.sub(r"<(script|style|details).*?</\1>", " ", first, flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    """Kind and content of each part of a PNG."""
    found, at = [], len(PNG_HEAD)
    while at < len(png):
        size = int.from_bytes(png[at : at + 4], "big")
        found.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + size]))
        at += size + 12
    return found


def with_words(png: bytes, words: str) -> bytes:
    """The PNG with a text in it, as the kind of chunk that is for UTF-8."""
    parts = [chunk for chunk in chunks(png) if chunk[0] != b"iTXt"]
    parts.insert(1, (b"iTXt", KEY + b"\0\0\0\0\0" + words.encode()))
    made = PNG_HEAD
    for kind, content in parts:
        made += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return made


def words_of(png: bytes) -> str:
    """The text in a PNG that `with_words` put there."""
    found = next(content for kind, content in chunks(png) if kind == b"iTXt" and content.startswith(KEY))
    return found[len(KEY) + 5 :].decode()


if __name__ == "__main__":
    if CHROMIUM is None:
        sys.exit("there is no Chromium on this machine: the picture stays as it is")
    with tempfile.TemporaryDirectory() as name:
        page = make_page(Path(name))
        words = shown(page.read_text(encoding="utf-8"))
        if PICTURE.exists() and words_of(PICTURE.read_bytes()) == words:
            sys.exit(0)
        shot = Path(name) / "page.png"
        command = [CHROMIUM, *FLAGS.split(), f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={shot}"]
        subprocess.run([*command, page.as_uri()], check=True, capture_output=True)
        PICTURE.parent.mkdir(parents=True, exist_ok=True)
        PICTURE.write_bytes(with_words(shot.read_bytes(), words))
