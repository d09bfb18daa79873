async def handle_get_html(ex):
    # GET /html                                                                                   # GET /html (routes.py:221)
    result = await in_thread(call_html)                                                           # GET /html (routes.py:221)
    response = await in_thread(make_response, result, ex, None, None)
    await respond_with(ex, response)
