async def handle_post_upload(ex):
    # POST /upload                                                                                # POST /upload (routes.py:102)
    errors = []
    async with RequestScope(ex) as scope:
        body = scope.closing(await read_form(ex, None, PLAN))                                     # POST /upload (routes.py:102)
        fields = await take_read(take_fields, body, None, errors)                                 # file, note, raw (routes.py:102)
        if errors:
            raise check(errors, body, FAILED, PLAN, ex)
        result = await call_file(**fields)                                                        # POST /upload (routes.py:102)
        if isinstance(result, Response):
            await respond_with(ex, result)
        else:
            data = dump_result(result, ex)
            if not ex.respond_at_once(HEAD, data):
                await ex.respond(HEAD, data)
