async def handle_get_v_version_items_item_id(ex):
    # GET /v{version}/items/{item_id}                                                             # GET /v{version}/items/{item_id} (routes.py:277)
    errors = []
    settings = call_settings()                                                                    # Depends(settings) (routes.py:112)
    x_token = take_x_token(ex.text_of(b'x-token'), errors)                                        # x-token: str (routes.py:128)
    user = FAILED if x_token is FAILED else await call_user(settings=settings, x_token=x_token)   # Depends(user) (routes.py:128)
    path = ex.path_params
    item_id = take_item_id(path.get('item_id'), errors)                                           # item_id: int (routes.py:277)
    if errors:
        raise check(errors, Undefined, FAILED, PLAN, ex)
    result = await call_included(item_id=item_id)                                                 # GET /v{version}/items/{item_id} (routes.py:277)
    if isinstance(result, Response):
        await respond_with(ex, result)
    else:
        data = dump_result(result, ex)
        if not ex.respond_at_once(HEAD, data):
            await ex.respond(HEAD, data)
