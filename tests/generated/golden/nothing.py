async def handle_delete_nothing(ex):
    # DELETE /nothing                                                                             # DELETE /nothing (routes.py:229)
    result = await call_nothing()                                                                 # DELETE /nothing (routes.py:229)
    if isinstance(result, Response):
        await respond_with(ex, result)
    else:
        data = json_bytes(result)
        await send_json(ex, RENDERER, data, None, None)
