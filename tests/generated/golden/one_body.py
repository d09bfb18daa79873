async def handle_post_orders(ex):
    # POST /orders                                                                                # POST /orders (routes.py:84)
    errors = []
    body, early = model_at_once(ex, True, validate_body) or await read_model(ex, True, validate_body, PLAN)  # POST /orders (routes.py:84)
    order = early if early is not FAILED else await take_read(take_order, body, 'order', errors)  # order (routes.py:84)
    if errors:
        raise check(errors, body, early, PLAN, ex)
    result = await call_one_body(order=order)                                                     # POST /orders (routes.py:84)
    if isinstance(result, Response):
        await respond_with(ex, result)
    else:
        data = dump_result(result, ex)
        if not ex.respond_at_once(HEAD, data):
            await ex.respond(HEAD, data)
