async def handle_get_many(ex):
    # GET /many                                                                                   # GET /many (routes.py:76)
    errors = []
    query = general_source(ex, "query")
    tags = take_tags(query, errors)                                                               # tags: list (routes.py:76)
    headers = general_source(ex, "header")
    versions = take_versions(headers, errors)                                                     # versions: list (routes.py:76)
    if errors:
        raise check(errors, Undefined, FAILED, PLAN, ex)
    result = await call_many(tags=tags, versions=versions)                                        # GET /many (routes.py:76)
    if isinstance(result, Response):
        await respond_with(ex, result)
    else:
        data = dump_result(result, ex)
        if not ex.respond_at_once(HEAD, data):
            await ex.respond(HEAD, data)
