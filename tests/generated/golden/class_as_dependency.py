async def handle_get_classes(ex):
    # GET /classes                                                                                # GET /classes (routes.py:185)
    errors = []
    query = last_values(ex.query_string)
    category = take_category(query.get('category'), errors)                                       # category: str (routes.py:181)
    since = take_since(query.get('since'), errors)                                                # since: int (routes.py:181)
    filters = FAILED if category is FAILED or since is FAILED else call_Filters(category=category, since=since)  # Depends(Filters) (routes.py:181)
    if errors:
        raise check(errors, Undefined, FAILED, PLAN, ex)
    result = await call_class_as_dependency(filters=filters)                                      # GET /classes (routes.py:185)
    if isinstance(result, Response):
        await respond_with(ex, result)
    else:
        data = dump_result(result, ex)
        if not ex.respond_at_once(HEAD, data):
            await ex.respond(HEAD, data)
