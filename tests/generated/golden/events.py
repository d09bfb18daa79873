async def handle_get_events(ex):
    # GET /events                                                                                 # GET /events (routes.py:252)
    scope = RequestScope(ex)
    try:
        connection = await scope.enter_async(call_connection())                                   # Depends(connection) (routes.py:120)
        result = call_events(connection=connection)                                               # GET /events (routes.py:252)
        response = stream_response(RENDERER, result, None, None)
        await respond_with(ex, response)
    except BaseException as error:
        if not await scope.leave_raised(error):
            raise
    else:
        if await scope.leave() is not LEFT:
            await scope.refuse_yield()
