async def handle_get_text(ex):
    # GET /text                                                                                   # GET /text (routes.py:226)
    result = await in_thread(call_text_with_model)                                                # GET /text (routes.py:226)
    response = await in_thread(make_response, result, ex, None, None)
    await respond_with(ex, response)
