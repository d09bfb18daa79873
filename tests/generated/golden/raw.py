async def handle_get_raw(ex):
    # GET /raw                                                                                    # GET /raw (routes.py:262)
    tasks = background_tasks()
    result = call_raw(tasks=tasks)                                                                # GET /raw (routes.py:262)
    response = stream_response(RENDERER, result, None, tasks)
    await respond_with(ex, response)
