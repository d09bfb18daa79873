async def handle_get_html(ex):
    # GET /html                                                                                   # GET /html (routes.py:221)
    result = await run_in_threadpool(call_html)                                                   # GET /html (routes.py:221)
    response = await run_in_threadpool(make_response, result, ex, None, None)
    await respond_with(ex, response)
