async def handle_get_text(ex):
    # GET /text                                                                                   # GET /text (routes.py:226)
    result = await run_in_threadpool(call_text_with_model)                                        # GET /text (routes.py:226)
    response = await run_in_threadpool(make_response, result, ex, None, None)
    await respond_with(ex, response)
