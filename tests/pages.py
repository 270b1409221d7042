"""The Python of the pages, which is executed: what stands between fences."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXTENDING = ROOT / "docs" / "extending.md"
"""Its examples are saved, trained and judged: a data set, an architecture, a metric."""


def fences(page: Path) -> list[str]:
    """Python of a page, in its order."""
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
