async def handle_get_html(ex):
    # GET /html                                                                                   # GET /html (routes.py:234)
    result = call_html()                                                                          # GET /html (routes.py:234)
    response = make_response(result, ex, None, None)
    await respond_with(ex, response)
