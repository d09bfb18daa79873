async def handle_get_uncached(ex):
    # GET /uncached                                                                               # GET /uncached (routes.py:143)
    def hop():
        one = apart(call_roll)                                                                    # Depends(roll) (routes.py:139)
        two = apart(call_roll)                                                                    # Depends(roll) (routes.py:139)
        return one, two
    one, two = await run_in_threadpool(hop)
    result = await call_uncached_dependencies(one=one, two=two, three=one)                        # GET /uncached (routes.py:143)
    if isinstance(result, Response):
        await respond_with(ex, result)
    else:
        data = dump_result(result, ex)
        if not ex.respond_at_once(HEAD, data):
            await ex.respond(HEAD, data)
