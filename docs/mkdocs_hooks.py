"""MkDocs hooks (`mkdocs.yml`): add pages from other folders and rewrite their links.

MkDocs calls the functions by name. A link to a file that is not a page of the site becomes its text, with the file's path as
tooltip.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
EXTERNAL_PAGES = (
    *("deploy/README.md", "serving/README.md", "clients/README.md"),
    *("research/README.md", "CHANGELOG.md"),
)
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])+)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config) -> Files:
    """Add the pages of other folders."""
    for name in EXTERNAL_PAGES:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page, files: Files, **_) -> str:
    """Rewrite the links of a page."""
    here = page.file.src_uri
    in_repository = here if here in EXTERNAL_PAGES else f"docs/{here}"

    def rewrite(found: re.Match) -> str:
        words, target, anchor = found[1], found[2], found[3] or ""
        path = posixpath.normpath(posixpath.join(posixpath.dirname(in_repository), target))
        known = path.removeprefix("docs/") if path.startswith("docs/") else path if path in EXTERNAL_PAGES else None
        file = files.get_file_from_path(known) if known else None
        if file and file.inclusion.is_included():
            return f"[{words}]({posixpath.relpath(file.src_uri, posixpath.dirname(here) or '.')}{anchor})"
        return f'<span title="{path}">{words}</span>'

    return LINK.sub(rewrite, markdown)
