async def handle_post_injected(ex):
    # POST /injected                                                                              # POST /injected (routes.py:219)
    scope = RequestScope(ex)
    try:
        request = scope.shared(request_of(ex))
        tasks = scope.background(background_tasks())
        response = injected_response()
        result = await call_injected(request=request, tasks=tasks, response=response)             # POST /injected (routes.py:219)
        if isinstance(result, Response):
            if result.background is None:
                result.background = tasks
            await scope.leave_function()
            await respond_with(ex, result)
        else:
            data = dump_result(result, ex)
            await scope.leave_function()
            await send_json(ex, RENDERER, data, response, tasks)
    except BaseException as error:
        if not await scope.leave_raised(error):
            raise
    else:
        if await scope.leave() is not LEFT:
            await scope.refuse_yield()
