async def handle_post_login(ex):
    # POST /login                                                                                 # POST /login (routes.py:97)
    errors = []
    async with RequestScope(ex) as scope:
        body = scope.closing(await read_form(ex, None, PLAN))                                     # POST /login (routes.py:97)
        fields = await take_read(take_fields, body, None, errors)                                 # name, password (routes.py:97)
        if errors:
            raise check(errors, body, FAILED, PLAN, ex)
        result = await call_form(**fields)                                                        # POST /login (routes.py:97)
        if isinstance(result, Response):
            await respond_with(ex, result)
        else:
            data = dump_result(result, ex)
            if not ex.respond_at_once(HEAD, data):
                await ex.respond(HEAD, data)
