async def handle_get_text(ex):
    # GET /text                                                                                   # GET /text (routes.py:239)
    result = call_text_with_model()                                                               # GET /text (routes.py:239)
    response = make_response(result, ex, None, None)
    await respond_with(ex, response)
