async def handle_get_momentary(ex):
    # GET /momentary                                                                              # GET /momentary (routes.py:165)
    errors = []
    query = last_values(ex.query_string)
    limit = take_limit(query.get('limit'), errors)                                                # limit: int (routes.py:161)
    offset = take_offset(query.get('offset'), errors)                                             # offset: int (routes.py:161)
    pages = FAILED if limit is FAILED or offset is FAILED else call_pages(limit=limit, offset=offset)  # Depends(pages) (routes.py:161)
    q = take_q(query.get('q'), errors)                                                            # q: str (routes.py:165)
    if errors:
        raise check(errors, Undefined, FAILED, PLAN, ex)
    result = call_momentary_calls(pages=pages, q=q)                                               # GET /momentary (routes.py:165)
    if isinstance(result, Response):
        await respond_with(ex, result)
    else:
        data = dump_result(result, ex)
        if not ex.respond_at_once(HEAD, data):
            await ex.respond(HEAD, data)
