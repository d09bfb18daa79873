"""Background tasks: when they run, what they share, and when they do not run."""

import threading
from typing import Annotated

import pytest
from starlette.background import BackgroundTask
from starlette.background import BackgroundTasks as StarletteBackgroundTasks

from tercel import APIRouter, BackgroundTasks, Depends, HTTPException
from tercel.responses import JSONResponse, StreamingResponse
from tercel.routing import APIRoute


class Broken(Exception):
    pass


def test_tasks_run_in_order_after_the_response(serve, journal):
    async def later(word, *, mark=""):
        journal(word + mark)

    def endpoint(tasks: BackgroundTasks):
        tasks.add_task(later, "one", mark="!")
        tasks.add_task(journal, "two")
        journal("endpoint")
        return "ok"

    assert serve(endpoint).get("/").json() == "ok"
    assert journal.until("two") == ["endpoint", "one!", "two"]


def test_the_whole_tree_shares_one_list_of_tasks(serve, journal):
    def dependency(tasks: BackgroundTasks):
        tasks.add_task(journal, "dependency")
        return tasks

    def endpoint(tasks: BackgroundTasks, same: Annotated[BackgroundTasks, Depends(dependency)]):
        tasks.add_task(journal, "endpoint")
        return tasks is same

    assert serve(endpoint).get("/").json() is True
    assert journal.until("endpoint") == ["dependency", "endpoint"]


def test_starlettes_class_may_be_asked_for(serve, journal):
    def endpoint(tasks: StarletteBackgroundTasks):
        tasks.add_task(journal, "ran")

    serve(endpoint).get("/")
    journal.until("ran")


def test_tasks_run_after_a_returned_response_without_tasks_of_its_own(serve, journal):
    def endpoint(tasks: BackgroundTasks):
        tasks.add_task(journal, "injected")
        return JSONResponse("ok")

    serve(endpoint).get("/")
    journal.until("injected")


def test_tasks_are_dropped_for_a_returned_response_with_a_task_of_its_own(serve, journal):
    def endpoint(tasks: BackgroundTasks):
        tasks.add_task(journal, "injected")
        return JSONResponse("ok", background=BackgroundTask(journal, "own"))

    connected = serve(endpoint)
    connected.get("/")
    connected.close()
    assert journal.entries == ["own"]


def test_tasks_run_after_the_last_piece_of_a_stream(serve, journal):
    def endpoint(tasks: BackgroundTasks):
        def pieces():
            yield "a"
            journal("piece")

        tasks.add_task(journal, "task")
        return StreamingResponse(pieces())

    serve(endpoint).get("/")
    assert journal.until("task") == ["piece", "task"]


@pytest.mark.parametrize("error", [HTTPException(400), Broken()])
def test_tasks_do_not_run_when_the_endpoint_raised(make_app, client, journal, error):
    app = make_app()

    @app.get("/")
    def endpoint(tasks: BackgroundTasks):
        tasks.add_task(journal, "task")
        raise error

    connected = client(app, raise_errors=False)
    assert connected.get("/").status_code in (400, 500)
    connected.close()
    assert journal.entries == []


def test_tasks_of_a_wrapped_handler_do_not_run_when_the_endpoint_raised(make_app, client, journal):
    class Wrapped(APIRoute):
        def get_route_handler(self):
            handler = super().get_route_handler()

            async def wrapped(request):
                return await handler(request)

            return wrapped

    app = make_app()
    router = APIRouter(route_class=Wrapped)

    @router.get("/{status}")
    def endpoint(status: int, tasks: BackgroundTasks):
        tasks.add_task(journal, "task")
        if status != 200:
            raise HTTPException(status)
        tasks.add_task(journal, "last")

    app.include_router(router)
    connected = client(app)
    assert connected.get("/400").status_code == 400
    assert connected.get("/200").status_code == 200
    assert journal.until("last") == ["task", "last"]


def test_tasks_of_a_dependency_do_not_run_when_the_request_was_invalid(serve, journal):
    def dependency(tasks: BackgroundTasks):
        tasks.add_task(journal, "task")

    def endpoint(n: int, value: Annotated[None, Depends(dependency)]):
        return n

    connected = serve(endpoint)
    assert connected.get("/?n=x").status_code == 422
    connected.close()
    assert journal.entries == []


def test_tasks_run_after_a_response_without_a_body(serve, journal):
    def endpoint(tasks: BackgroundTasks):
        tasks.add_task(journal, "task")

    assert serve(endpoint, status_code=204).get("/").status_code == 204
    journal.until("task")


def test_sync_tasks_run_in_threads_and_async_ones_on_the_loop(serve, journal):
    async def on_loop():
        journal(("loop", threading.get_ident()))

    def in_thread():
        journal(("thread", threading.get_ident()))

    async def endpoint(tasks: BackgroundTasks):
        tasks.add_task(on_loop)
        tasks.add_task(in_thread)
        return threading.get_ident()

    connected = serve(endpoint)
    loop = connected.get("/").json()
    connected.close()
    assert dict(journal)["loop"] == loop
    assert dict(journal)["thread"] != loop


def test_tasks_added_by_a_function_scoped_dependency_after_its_yield_run(serve, journal):
    def dependency(tasks: BackgroundTasks):
        yield
        tasks.add_task(journal, "task")

    def endpoint(value: Annotated[None, Depends(dependency, scope="function")]):
        return "ok"

    serve(endpoint).get("/")
    journal.until("task")


def test_a_task_that_fails_reaches_the_server_after_a_good_answer(serve):
    def fails():
        raise Broken("in task")

    def endpoint(tasks: BackgroundTasks):
        tasks.add_task(fails)
        return "ok"

    error = serve(endpoint).expect_error(Broken, "GET", "/", answers=200)
    assert str(error) == "in task"


def test_a_task_may_be_run_while_the_next_request_is_served(make_app, client, journal):
    app = make_app()
    proceed = threading.Event()

    @app.get("/slow")
    def slow(tasks: BackgroundTasks):
        tasks.add_task(lambda: (proceed.wait(5), journal("task")))
        return "slow"

    @app.get("/proceed")
    def go_on():
        journal("proceed")
        proceed.set()

    connected = client(app)
    if connected.protocol == "asgi":  # TestClient waits for the tasks of a request
        proceed.set()
    assert connected.get("/slow").json() == "slow"
    client(app).get("/proceed")
    connected.close()
    assert sorted(journal) == ["proceed", "task"]
