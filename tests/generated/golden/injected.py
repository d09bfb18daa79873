async def handle_post_injected(ex):
    # POST /injected                                                                              # POST /injected (routes.py:206)
    request = request_of(ex)
    tasks = background_tasks()
    response = injected_response()
    result = await call_injected(request=request, tasks=tasks, response=response)                 # POST /injected (routes.py:206)
    if isinstance(result, Response):
        if result.background is None:
            result.background = tasks
        await respond_with(ex, result)
    else:
        data = dump_result(result, ex)
        await send_json(ex, RENDERER, data, response, tasks)
