async def handle_get_filtered(ex):
    # GET /filtered                                                                               # GET /filtered (routes.py:224)
    result = await call_filtered()                                                                # GET /filtered (routes.py:224)
    if isinstance(result, Response):
        await respond_with(ex, result)
    else:
        data = dump_result(result, ex)
        if not ex.respond_at_once(HEAD, data):
            await ex.respond(HEAD, data)
