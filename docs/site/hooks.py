"""What MkDocs is told beside ``mkdocs.yml``: files from outside ``docs``, and formulas.

Pages link to files of the repository as ``../examples/x.py``, which also works where the
repository is read; here such files become pages of the site.
"""

from __future__ import annotations

import html
import os
import re
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

OUTSIDE = re.compile(r"\]\((?:\.\./)+((?:benchmarks|checks|examples|tests|trainers)/[^)#\s]+)")
SHOWN = {".py": "python", ".yaml": "yaml", ".json": "json", ".ipynb": "json", ".txt": "text"}
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
RESULTS = "benchmarks/results"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what the pages link to: results as they are, sources as pages."""
    root = Path(config.config_file_path).parent
    linked: set[str] = set()
    for file in list(files.documentation_pages()):
        linked.update(OUTSIDE.findall(file.content_string))
    for path in linked:
        source = root / path
        if not source.is_file():
            continue  # MkDocs then says which page links to it
        if source.suffix in SHOWN:
            text = f"# {source.name}\n\n`{path}`\n\n{_fenced(source)}"
            files.append(File.generated(config, f"{path}.md", content=text))
        else:
            files.append(File.generated(config, path, abs_src_path=os.fspath(source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links out of ``docs`` lead to the files that were added."""
    up = "../" * page.file.src_uri.count("/")

    def inside(link: re.Match[str]) -> str:
        source = link[1] + (".md" if Path(link[1]).suffix in SHOWN else "")
        return f"]({up}{source}"

    return OUTSIDE.sub(inside, markdown)


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Write formulas as MathML, which browsers show without any script."""
    return FORMULA.sub(_formula, content)


def _formula(found: re.Match[str]) -> str:
    display = "block" if found[1] == "div" else "inline"
    return convert(html.unescape(found[2]), display=display)


def _fenced(source: Path) -> str:
    return f"````{SHOWN[source.suffix]}\n{source.read_text('utf-8')}\n````\n"
