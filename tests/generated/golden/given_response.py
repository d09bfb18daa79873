async def handle_get_response(ex):
    # GET /response                                                                               # GET /response (routes.py:244)
    result = await call_given_response()                                                          # GET /response (routes.py:244)
    if isinstance(result, Response):
        await respond_with(ex, result)
    else:
        data = json_bytes(result)
        if not ex.respond_at_once(HEAD, data):
            await ex.respond(HEAD, data)
