"""Hooks of mkdocs: the README as front page, links that hold here and on GitHub, and an API page for each room."""

import ast
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
ROOMS = sorted({path.parent.name for path in ROOT.glob("*/__init__.py")} - {"affecthub", "recipes", "model_cards"})
FRONT = {"index.md": "README.md"}
"""Page of the site -> the file that it is."""

LINK = re.compile(r"(\]\()([^)\s:#]+)((?:#[^)\s]*)?\))")
"""A Markdown link that stays in the repository; group 2 is its path."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the front page and the pages of the API."""
    made = {page: (ROOT / source).read_text(encoding="utf-8") for page, source in FRONT.items()}
    made |= {f"api/{room}.md": api_page(room) for room in ROOMS}
    for page, content in made.items():
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """A page whose links to files outside of docs/ lead to the repository."""
    place = (ROOT / FRONT.get(page.file.src_uri, f"docs/{page.file.src_uri}")).parent

    def there(link: re.Match) -> str:
        target = (place / link[2]).resolve()
        if target == ROOT / "README.md":
            path = "index.md"
        elif target.is_relative_to(DOCS):
            path = target.relative_to(DOCS).as_posix()
        elif target.exists() and target.is_relative_to(ROOT):
            return f"{link[1]}{config.repo_url}/blob/main/{target.relative_to(ROOT).as_posix()}{link[3]}"
        else:
            return link[0]  # which the strict build refuses
        return f"{link[1]}{'../' * page.file.src_uri.count('/')}{path}{link[3]}"

    return LINK.sub(there, markdown)


def api_page(room: str) -> str:
    """What a room says of itself, and its modules with their public names."""
    paths = sorted(path for path in (ROOT / room).rglob("*.py") if (path.parent / "__init__.py").is_file())
    says = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8"))) or ""
    dotted = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths if path.stem[0] != "_"]
    return "\n\n".join([f"# affecthub.{room}", says, *(f"::: affecthub.{module}" for module in dotted)]) + "\n"
