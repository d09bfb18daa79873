"""Mounted applications, static files, templates, single-page front ends and the path under which an application is reached."""

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from tercel import APIRouter, FastAPI, Request
from tercel.responses import HTMLResponse, PlainTextResponse
from tercel.staticfiles import StaticFiles
from tercel.templating import Jinja2Templates


def test_a_mounted_application_has_paths_documents_and_state_of_its_own(make_app, client):
    inner = make_app(title="Inner")
    inner.state.name = "inner"

    @inner.get("/x/{n}")
    def endpoint(request: Request, n: int):
        return [request.scope["root_path"], request.scope["path"], request.url.path, request.app.state.name, n]

    outer = make_app(title="Outer")
    outer.mount("/inner", inner)
    connected = client(outer)
    assert connected.get("/inner/x/3").json() == ["/inner", "/inner/x/3", "/inner/x/3", "inner", 3]
    assert connected.get("/inner/x/y").status_code == 422
    assert connected.get("/inner/unknown").json() == {"detail": "Not Found"}
    document = connected.get("/inner/openapi.json").json()
    assert (document["info"]["title"], list(document["paths"]), document["servers"]) == ("Inner", ["/x/{n}"], [{"url": "/inner"}])
    assert "/x/{n}" not in connected.get("/openapi.json").json()["paths"]
    assert "/inner/openapi.json" in connected.get("/inner/docs").text


def test_mounts_can_be_nested(make_app, client):
    apps = [make_app() for _ in range(3)]

    @apps[2].get("/x")
    def endpoint(request: Request):
        return [request.scope["root_path"], str(request.url_for("endpoint"))]

    apps[1].mount("/two", apps[2])
    apps[0].mount("/one", apps[1])
    assert client(apps[0]).get("/one/two/x").json() == ["/one/two", "http://testserver/one/two/x"]


def test_a_mount_answers_before_routes_that_come_after_it_and_after_those_before_it(make_app, client):
    inner = make_app()

    @inner.get("/{name}")
    def mounted(name: str):
        return f"mounted {name}"

    app = make_app()

    @app.get("/m/before")
    def before():
        return "before"

    app.mount("/m", inner)

    @app.get("/m/after")
    def after():
        return "after"

    connected = client(app)
    assert [connected.get("/m/before").json(), connected.get("/m/after").json()] == ["before", "mounted after"]


def test_any_asgi_application_can_be_mounted(make_app, client):
    async def plain(request):
        return PlainTextResponse(f"{request.scope['root_path']} {request.path_params}")

    async def raw(scope, receive, send):
        assert scope["type"] == "http"
        await PlainTextResponse("raw")(scope, receive, send)

    app = make_app()
    app.mount("/starlette", Starlette(routes=[Route("/{x}", plain)]))
    app.mount("/raw", raw)
    connected = client(app)
    assert connected.get("/starlette/1").text == "/starlette {'x': '1'}"
    assert connected.get("/raw/anything").text == "raw"


def test_a_mount_path_may_contain_parameters(make_app, client):
    inner = make_app()

    @inner.get("/x")
    def endpoint(request: Request):
        return request.path_params

    app = make_app()
    app.mount("/tenants/{tenant}", inner)
    assert client(app).get("/tenants/a/x").json() == {"tenant": "a"}


def test_an_application_mounted_at_the_root_takes_what_is_left(make_app, client):
    inner = make_app()

    @inner.get("/x")
    def endpoint():
        return "inner"

    app = make_app()

    @app.get("/y")
    def own():
        return "own"

    app.mount("/", inner)
    connected = client(app)
    assert [connected.get("/x").json(), connected.get("/y").json()] == ["inner", "own"]
    assert connected.get("/z").status_code == 404


def test_a_tercel_application_can_be_mounted_in_starlette(make_app, client):
    inner = make_app()

    @inner.get("/x")
    def endpoint(n: int):
        return n

    outer = Starlette()
    outer.mount("/inner", inner)
    connected = client(outer)
    assert connected.get("/inner/x?n=1").json() == 1
    assert connected.get("/inner/x").status_code == 422


# -- root path -----------------------------------------------------------------------------------------------------------------


def test_the_root_path_of_the_server_is_a_server_in_the_document(make_app, client):
    app = make_app()

    @app.get("/x")
    def endpoint(request: Request):
        return request.scope["root_path"]

    connected = client(app, root_path="/proxied")
    assert connected.get("/x").json() == "/proxied"
    assert connected.get("/openapi.json").json()["servers"] == [{"url": "/proxied"}]
    assert "/proxied/openapi.json" in connected.get("/docs").text
    assert "servers" not in app.openapi()


def test_the_root_path_may_be_left_out_of_the_servers(make_app, client):
    app = make_app(root_path_in_servers=False)
    assert "servers" not in client(app, root_path="/proxied").get("/openapi.json").json()


def test_documents_for_different_root_paths_do_not_mix(make_app, open_client):
    app = make_app(servers=[{"url": "https://example.org"}])
    for root_path in ("/one", "/two", ""):
        with open_client(app, root_path=root_path) as connected:
            urls = [server["url"] for server in connected.get("/openapi.json").json()["servers"]]
        assert urls == [path for path in (root_path,) if path] + ["https://example.org"]


# -- files ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path):
    """A folder with the files of a small site."""
    (tmp_path / "index.html").write_text("<h1>index</h1>")
    (tmp_path / "app.js").write_text("let x")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "index.html").write_text("<h1>sub</h1>")
    (tmp_path / "sub" / "data.txt").write_text("data")
    return tmp_path


def test_static_files_are_served_from_a_mount(make_app, client, site):
    app = make_app()
    app.mount("/static", StaticFiles(directory=site), name="static")

    @app.get("/link")
    def link(request: Request):
        return str(request.url_for("static", path="/sub/data.txt"))

    connected = client(app)
    answer = connected.get("/static/app.js")
    assert (answer.text, answer.headers["content-type"].partition(";")[0]) == ("let x", "text/javascript")
    assert connected.get("/static/sub/data.txt").text == "data"
    assert connected.get("/static/unknown").status_code == 404
    assert connected.get("/static/..%2f..%2fetc/passwd").status_code == 404
    assert connected.post("/static/app.js").status_code == 405
    assert connected.get("/link").json() == "http://testserver/static/sub/data.txt"
    again = connected.get("/static/app.js", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_templates_are_rendered_with_the_request(make_app, client, tmp_path):
    (tmp_path / "page.html").write_text("<a href=\"{{ url_for('page', n=3) }}\">{{ name }}</a>")
    templates = Jinja2Templates(directory=tmp_path)
    app = make_app()

    @app.get("/page/{n}", response_class=HTMLResponse)
    def page(request: Request, n: int):
        return templates.TemplateResponse(request, "page.html", {"name": "<n>"}, headers={"x-n": str(n)})

    answer = client(app).get("/page/1")
    assert answer.text == '<a href="http://testserver/page/3">&lt;n&gt;</a>'
    assert (answer.headers["content-type"], answer.headers["x-n"]) == ("text/html; charset=utf-8", "1")


def test_a_front_end_is_served_where_no_route_answers(make_app, client, site):
    app = make_app()

    @app.get("/api/x")
    def endpoint():
        return "api"

    app.frontend("/", directory=site)
    connected = client(app)
    assert connected.get("/api/x").json() == "api"
    assert connected.get("/").text == "<h1>index</h1>"
    assert connected.get("/app.js").text == "let x"
    assert connected.get("/sub/").text == "<h1>sub</h1>"
    assert connected.request("HEAD", "/app.js").status_code == 200


def test_a_front_end_answers_unknown_pages_with_its_index_only_when_a_page_is_asked_for(make_app, client, site):
    app = make_app()
    app.frontend("/", directory=site)
    connected = client(app)
    page = connected.get("/deep/link", headers={"accept": "text/html,*/*;q=0.8"})
    assert (page.status_code, page.text) == (200, "<h1>index</h1>")
    assert connected.get("/deep/link", headers={"accept": "*/*"}).status_code == 404
    assert connected.get("/deep/link", headers={"accept": "application/json"}).status_code == 404


def test_a_404_page_of_a_front_end_wins_over_its_index(make_app, client, site):
    (site / "404.html").write_text("<h1>lost</h1>")
    app = make_app()
    app.frontend("/", directory=site)
    page = client(app).get("/deep/link", headers={"accept": "text/html"})
    assert (page.status_code, page.text) == (404, "<h1>lost</h1>")


def test_a_front_end_does_not_hide_the_errors_of_routes(make_app, client, site):
    app = make_app()

    @app.post("/only-post")
    def endpoint(n: int):
        return n

    app.frontend("/", directory=site)
    connected = client(app)
    html = {"accept": "text/html"}
    assert connected.get("/only-post", headers=html).status_code == 405
    assert connected.post("/only-post", headers=html).status_code == 422


def test_the_longest_prefix_of_several_front_ends_wins(make_app, client, site, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "index.html").write_text("<h1>other</h1>")
    app = make_app()
    app.frontend("/", directory=site)
    app.frontend("/other", directory=other)
    connected = client(app)
    assert connected.get("/other/").text == "<h1>other</h1>"
    assert connected.get("/sub/").text == "<h1>sub</h1>"


def test_a_front_end_of_an_included_router_has_its_prefix(make_app, client, site):
    router = APIRouter(prefix="/r")
    router.frontend("/site", directory=site)
    app = make_app()
    app.include_router(router)
    assert client(app).get("/r/site/app.js").text == "let x"


def test_the_folder_of_a_front_end_must_exist(tmp_path):
    app = FastAPI()
    with pytest.raises(RuntimeError, match="does not exist"):
        app.frontend("/", directory=tmp_path / "missing", check_dir=True)
