"""The application: what it consists of. `tercel run demo.app:app` serves it, and so does any other ASGI server.

This module only puts together. Each feature lives in the module that is imported for it; the package's docstring gives an order in
which to read them.
"""

from collections.abc import Awaitable, Callable

from demo import (
    assistant,
    auth,
    chat_room,
    echo,
    errors,
    events,
    external,
    feed,
    gzipped,
    items,
    mail,
    page,
    report,
    signup,
    staff,
    timed,
)
from demo.internal_api import internal_api
from demo.lifespan import lifespan
from demo.metrics import Metrics
from demo.public_api import public_api
from tercel import FastAPI, Request, Response

__all__ = ["app"]

app = FastAPI(
    title="Tercel demo",
    summary="Advanced features as one working system.",
    version="1.0",
    lifespan=lifespan,
    max_body_size=1024 * 1024,  # bytes; nothing here needs more, and the default is no limit
    form_limits={"max_fields": 20, "max_files": 0, "max_part_size": 4096},  # the sign-in form is the only one
)
app.state.metrics = Metrics()
errors.install(app)


@app.middleware("http")
async def count_requests(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Runs around everything below, the mounted applications included."""
    response = await call_next(request)
    app.state.metrics.requests[f"{response.status_code // 100}xx"] += 1
    return response


for feature in (page, items, timed, report, events, external, signup, mail, gzipped, auth, echo, chat_room, feed, assistant):
    app.include_router(feature.router)
app.include_router(staff.admin_router)
app.include_router(staff.editor_router)

app.mount("/static", page.static_files, name="static")
app.mount("/public", public_api)
app.mount("/internal", internal_api)
