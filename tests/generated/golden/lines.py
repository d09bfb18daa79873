async def handle_get_lines(ex):
    # GET /lines                                                                                  # GET /lines (routes.py:257)
    response = injected_response()
    result = call_lines(response=response)                                                        # GET /lines (routes.py:257)
    response_2 = stream_response(RENDERER, result, response, None)
    await respond_with(ex, response_2)
