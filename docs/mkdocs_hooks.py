"""What the site needs beside the pages in `docs/` (mkdocs calls the functions by their names; `mkdocs.yml`, `make docs`).

Pages that lie with their code come with it, and links are made right for where the pages lie in the site. A link to a file that is no
page of the site becomes its words, with the file's path when one points at them.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
EXTERNAL_PAGES = ("deploy/README.md", "serving/README.md", "ingestion/readers/README.md", "CHANGELOG.md")
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])+)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config) -> Files:
    """The pages that lie elsewhere."""
    for name in EXTERNAL_PAGES:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page, files: Files, **_) -> str:
    """The text of a page with the links that lead somewhere."""
    here = page.file.src_uri
    in_repository = here if here in EXTERNAL_PAGES else f"docs/{here}"

    def led(found: re.Match) -> str:
        words, target, anchor = found[1], found[2], found[3] or ""
        path = posixpath.normpath(posixpath.join(posixpath.dirname(in_repository), target))
        known = path.removeprefix("docs/") if path.startswith("docs/") else path if path in EXTERNAL_PAGES else None
        if known and files.get_file_from_path(known):
            return f"[{words}]({posixpath.relpath(known, posixpath.dirname(here) or '.')}{anchor})"
        return f'<span title="{path}">{words}</span>'

    return LINK.sub(led, markdown)
