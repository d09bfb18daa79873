async def handle_get_sync(ex):
    # GET /sync                                                                                   # GET /sync (routes.py:154)
    errors = []
    settings = call_settings()                                                                    # Depends(settings) (routes.py:112)
    query = last_values(ex.query_string)
    def hop():
        roll = apart(call_roll)                                                                   # Depends(roll) (routes.py:141)
        q = take_q(query.get('q'), errors)                                                        # q: str (routes.py:154)
        if errors:
            raise check(errors, Undefined, FAILED, PLAN, ex)
        result = apart(call_synchronous_calls, settings=settings, roll=roll, q=q)                 # GET /sync (routes.py:154)
        data = None if isinstance(result, Response) else dump_result(result, ex)
        return roll, q, result, data
    roll, q, result, data = await in_thread(hop)
    if isinstance(result, Response):
        await respond_with(ex, result)
    else:
        if not ex.respond_at_once(HEAD, data):
            await ex.respond(HEAD, data)
