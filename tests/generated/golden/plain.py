async def handle_get_plain(ex):
    # GET /plain                                                                                  # GET /plain (routes.py:55)
    result = await call_plain()                                                                   # GET /plain (routes.py:55)
    if isinstance(result, Response):
        await respond_with(ex, result)
    else:
        data = dump_result(result, ex)
        if not ex.respond_at_once(HEAD, data):
            await ex.respond(HEAD, data)
