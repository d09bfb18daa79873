async def handle_get_sync(ex):
    # GET /sync                                                                                   # GET /sync (routes.py:152)
    errors = []
    query = last_values(ex.query_string)
    def hop():
        settings = apart(call_settings)                                                           # Depends(settings) (routes.py:110)
        if overrides_written:
            return Replanned(REPLAN, locals())
        roll = apart(call_roll)                                                                   # Depends(roll) (routes.py:139)
        q = take_q(query.get('q'), errors)                                                        # q: str (routes.py:152)
        if errors:
            raise check(errors, Undefined, FAILED, PLAN, ex)
        result = apart(call_synchronous_calls, settings=settings, roll=roll, q=q)                 # GET /sync (routes.py:152)
        data = None if isinstance(result, Response) else dump_result(result, ex)
        return settings, roll, q, result, data
    done = await in_thread(hop)
    if isinstance(done, Replanned):
        return await answer_rest(PLAN, done.step, ex, {**locals(), **done.values})
    settings, roll, q, result, data = done
    if isinstance(result, Response):
        await respond_with(ex, result)
    else:
        if not ex.respond_at_once(HEAD, data):
            await ex.respond(HEAD, data)
