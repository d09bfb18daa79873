async def handle_get_limited(ex):
    # GET /limited                                                                                # GET /limited (routes.py:194)
    scope = RequestScope(ex)
    try:
        async with limit_roll.get_semaphore():
            roll = await in_thread(call_roll)                                                     # Depends(roll) (routes.py:141)
        if overrides_written:
            return await answer_rest(PLAN, REPLAN, ex, locals())
        await scope.hold(limit_connection, False)
        connection = await scope.enter_async(call_connection())                                   # Depends(connection) (routes.py:120)
        result = await call_limited_dependencies(roll=roll, connection=connection)                # GET /limited (routes.py:194)
        if isinstance(result, Response):
            await respond_with(ex, result)
        else:
            data = dump_result(result, ex)
            if not ex.respond_at_once(HEAD, data):
                await ex.respond(HEAD, data)
    except BaseException as error:
        if not await scope.leave_raised(error):
            raise
    else:
        if await scope.leave() is not LEFT:
            await scope.refuse_yield()
