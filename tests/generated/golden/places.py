async def handle_get_places_shop_id(ex):
    # GET /places/{shop_id}                                                                       # GET /places/{shop_id} (routes.py:65)
    errors = []
    path = ex.path_params
    shop_id = take_shop_id(path.get('shop_id'), errors)                                           # shop_id: int (routes.py:65)
    query = last_values(ex.query_string)
    q = take_q(query.get('q'), errors)                                                            # q: str | None (routes.py:65)
    limit = take_limit(query.get('limit'), errors)                                                # limit: int (routes.py:65)
    x_token = take_x_token(ex.text_of(b'x-token'), errors)                                        # x-token: str (routes.py:65)
    cookies = parse_cookies(ex)
    session = take_session(cookies.get('session'), errors)                                        # session: str (routes.py:65)
    if errors:
        raise check(errors, Undefined, FAILED, PLAN, ex)
    result = await call_places(shop_id=shop_id, q=q, limit=limit, x_token=x_token, session=session)  # GET /places/{shop_id} (routes.py:65)
    if isinstance(result, Response):
        await respond_with(ex, result)
    else:
        data = dump_result(result, ex)
        if not ex.respond_at_once(HEAD, data):
            await ex.respond(HEAD, data)
