async def handle_get_secured(ex):
    # GET /secured                                                                                # GET /secured (routes.py:211)
    scope = RequestScope(ex)
    try:
        request = scope.shared(request_of(ex))
        token = await call_Bearer(request=request)                                                # Depends(Bearer) (routes.py:200)
        scopes = security_scopes()
        reader = await call_reader(token=token, scopes=scopes)                                    # Depends(reader) (routes.py:207)
        result = await call_secured(reader=reader)                                                # GET /secured (routes.py:211)
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
