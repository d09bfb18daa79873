"""`GET /`: the page on which a person tries everything. Its files lie in `static/`, and `/static/…` serves them.

No build step and nothing from other hosts: what is in the folder is what the browser gets.
"""

from pathlib import Path

from tercel import APIRouter
from tercel.responses import FileResponse
from tercel.staticfiles import StaticFiles

__all__ = ["STATIC_FOLDER", "router", "static_files"]

STATIC_FOLDER = Path(__file__).with_name("static")

# The browser itself makes sure that the page loads nothing from elsewhere and runs no script that is not a file of ours.
CONTENT_SECURITY_POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"

router = APIRouter()
static_files = StaticFiles(directory=STATIC_FOLDER)


@router.get("/", include_in_schema=False)
async def page() -> FileResponse:
    """The page, revalidated on every visit: it is small, and a stale one next to new scripts is a riddle."""
    headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY, "Cache-Control": "no-cache"}
    return FileResponse(STATIC_FOLDER / "index.html", headers=headers)
