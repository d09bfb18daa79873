async def handle_get_uncached(ex):
    # GET /uncached                                                                               # GET /uncached (routes.py:145)
    def hop():
        one = apart(call_roll)                                                                    # Depends(roll) (routes.py:141)
        if overrides_written:
            return Replanned(REPLAN, locals())
        two = apart(call_roll)                                                                    # Depends(roll) (routes.py:141)
        return one, two
    done = await in_thread(hop)
    if isinstance(done, Replanned):
        return await answer_rest(PLAN, done.step, ex, {**locals(), **done.values})
    one, two = done
    result = await call_uncached_dependencies(one=one, two=two, three=one)                        # GET /uncached (routes.py:145)
    if isinstance(result, Response):
        await respond_with(ex, result)
    else:
        data = dump_result(result, ex)
        if not ex.respond_at_once(HEAD, data):
            await ex.respond(HEAD, data)
