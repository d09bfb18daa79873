async def handle_get_generators(ex):
    # GET /generators                                                                             # GET /generators (routes.py:172)
    errors = []
    scope = RequestScope(ex)
    try:
        query = last_values(ex.query_string)
        limit = take_limit(query.get('limit'), errors)                                            # limit: int (routes.py:116)
        offset = take_offset(query.get('offset'), errors)                                         # offset: int (routes.py:116)
        page = FAILED if limit is FAILED or offset is FAILED else await call_page(limit=limit, offset=offset)  # Depends(page) (routes.py:116)
        if overrides_written:
            return await answer_rest(PLAN, REPLAN, ex, locals())
        connection = await scope.enter_async(call_connection())                                   # Depends(connection) (routes.py:120)
        transaction = await scope.enter_sync(call_transaction, dict(connection=connection))       # Depends(transaction) (routes.py:124)
        if overrides_written:
            return await answer_rest(PLAN, REPLAN_2, ex, locals())
        work = await scope.enter_async(call_connection(), True)                                   # Depends(connection) (routes.py:120)
        if errors:
            raise check(errors, Undefined, FAILED, PLAN, ex)
        result = await call_generators(transaction=transaction, work=work)                        # GET /generators (routes.py:172)
        if isinstance(result, Response):
            await scope.leave_function()
            await respond_with(ex, result)
        else:
            data = dump_result(result, ex)
            await scope.leave_function()
            if not ex.respond_at_once(HEAD, data):
                await ex.respond(HEAD, data)
    except BaseException as error:
        if not await scope.leave_raised(error):
            raise
    else:
        if await scope.leave() is not LEFT:
            await scope.refuse_yield()
