"""Start and stop: lifespan functions, event handlers, nested routers and the state that requests see."""

import warnings
from contextlib import asynccontextmanager

import pytest

from tercel import APIRouter, FastAPI, Request


def lifespan_of(journal, name, state=None):
    @asynccontextmanager
    async def lifespan(app):
        journal(f"{name} starts")
        yield state
        journal(f"{name} stops")

    return lifespan


def test_a_lifespan_surrounds_all_requests(make_app, open_client, journal):
    app = make_app(lifespan=lifespan_of(journal, "app"))

    @app.get("/")
    def endpoint():
        journal("request")

    with open_client(app) as client:
        assert journal.entries == ["app starts"]
        client.get("/")
        client.get("/")
    assert journal.entries == ["app starts", "request", "request", "app stops"]


def test_what_a_lifespan_yields_is_the_state_of_every_request(make_app, client):
    counter = {"n": 0}

    @asynccontextmanager
    async def lifespan(app):
        yield {"shared": counter, "word": "hi"}

    app = make_app(lifespan=lifespan)

    @app.get("/")
    def endpoint(request: Request):
        request.state.shared["n"] += 1
        request.state.word += "!"
        return [request.state.shared["n"], request.state.word]

    connected = client(app)
    # The mapping is copied for each request, what it holds is not.
    assert [connected.get("/").json(), connected.get("/").json()] == [[1, "hi!"], [2, "hi!"]]


def test_a_lifespan_receives_the_application(make_app, client):
    seen = []

    @asynccontextmanager
    async def lifespan(app):
        seen.append(app)
        app.state.ready = True
        yield

    app = make_app(lifespan=lifespan)

    @app.get("/")
    def endpoint(request: Request):
        return request.app.state.ready

    assert client(app).get("/").json() is True
    assert seen == [app]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_event_handlers_run_in_order_async_and_sync(make_app, open_client, journal):
    app = make_app(on_startup=[lambda: journal("startup 1")], on_shutdown=[lambda: journal("shutdown 1")])

    @app.on_event("startup")
    async def startup():
        journal("startup 2")

    @app.on_event("shutdown")
    def shutdown():
        journal("shutdown 2")

    app.router.add_event_handler("startup", lambda: journal("startup 3"))
    with open_client(app):
        assert journal.entries == ["startup 1", "startup 2", "startup 3"]
    assert journal.entries[3:] == ["shutdown 1", "shutdown 2"]


def test_on_event_is_deprecated():
    app = FastAPI()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        app.on_event("startup")
    assert {warning.category for warning in caught} == {DeprecationWarning}


def test_a_lifespan_switches_event_handlers_of_the_same_application_off(make_app, open_client, journal):
    app = make_app(lifespan=lifespan_of(journal, "app"), on_startup=[lambda: journal("handler")])
    with open_client(app):
        pass
    assert journal.entries == ["app starts", "app stops"]


def test_lifespans_of_included_routers_run_inside_that_of_the_application(make_app, open_client, journal):
    app = make_app(lifespan=lifespan_of(journal, "app"))
    outer = APIRouter(lifespan=lifespan_of(journal, "outer"))
    inner = APIRouter(lifespan=lifespan_of(journal, "inner"))
    outer.include_router(inner)
    app.include_router(outer)
    app.include_router(APIRouter(lifespan=lifespan_of(journal, "second")))
    with open_client(app):
        pass
    assert journal.entries == [
        *["app starts", "outer starts", "inner starts", "second starts"],
        *["second stops", "inner stops", "outer stops", "app stops"],
    ]


def test_states_of_nested_lifespans_are_merged_and_the_outer_wins(make_app, client, journal):
    app = make_app(lifespan=lifespan_of(journal, "app", {"from": "app", "app": 1}))
    app.include_router(APIRouter(lifespan=lifespan_of(journal, "router", {"from": "router", "router": 2})))

    @app.get("/")
    def endpoint(request: Request):
        return [request.state._state[name] for name in ("from", "app", "router")]

    assert client(app).get("/").json() == ["app", 1, 2]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_event_handlers_of_included_routers_run(make_app, open_client, journal):
    app = make_app()
    router = APIRouter()

    @router.on_event("startup")
    def startup():
        journal("router startup")

    app.include_router(router)
    with open_client(app):
        # FastAPI runs them twice, once for the router and once for the application that took them over.
        assert set(journal) == {"router startup"}


def test_lifespans_of_mounted_applications_do_not_run(make_app, open_client, journal):
    app = make_app()
    app.mount("/m", make_app(lifespan=lifespan_of(journal, "mounted")))
    with open_client(app):
        pass
    assert journal.entries == []


def test_a_generator_function_is_accepted_as_a_lifespan(make_app, open_client, journal):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)

        def lifespan(app):
            journal("starts")
            yield
            journal("stops")

        app = make_app(lifespan=lifespan)
    with open_client(app):
        assert journal.entries == ["starts"]
    assert journal.entries == ["starts", "stops"]


def test_a_failing_start_keeps_the_server_from_serving(make_app, open_client):
    @asynccontextmanager
    async def lifespan(app):
        raise ValueError("no database")
        yield

    app = make_app(lifespan=lifespan)
    with pytest.raises(Exception) as caught, open_client(app):
        raise AssertionError("served")
    assert not isinstance(caught.value, AssertionError)


def test_an_application_without_a_lifespan_starts_and_stops(make_app, open_client):
    app = make_app()

    @app.get("/")
    def endpoint(request: Request):
        return request.state._state

    with open_client(app) as client:
        assert client.get("/").json() == {}
