async def handle_post_upload(ex):
    # POST /upload                                                                                # POST /upload (routes.py:104)
    errors = []
    scope = RequestScope(ex)
    try:
        body = scope.closing(await read_form(ex, None, PLAN))                                     # POST /upload (routes.py:104)
        fields = await take_read(take_fields, body, None, errors)                                 # file, note, raw (routes.py:104)
        if errors:
            raise check(errors, body, FAILED, PLAN, ex)
        result = await call_file(**fields)                                                        # POST /upload (routes.py:104)
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
