async def handle_get_untyped(ex):
    # GET /untyped                                                                                # GET /untyped (routes.py:60)
    result = await call_untyped()                                                                 # GET /untyped (routes.py:60)
    if isinstance(result, Response):
        await respond_with(ex, result)
    else:
        data = json_bytes(result)
        if not ex.respond_at_once(HEAD, data):
            await ex.respond(HEAD, data)
