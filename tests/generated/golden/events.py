async def handle_get_events(ex):
    # GET /events                                                                                 # GET /events (routes.py:239)
    async with RequestScope(ex) as scope:
        connection = await scope.enter_async(call_connection())                                   # Depends(connection) (routes.py:118)
        result = call_events(connection=connection)                                               # GET /events (routes.py:239)
        response = stream_response(RENDERER, result, None, None)
        await respond_with(ex, response)
