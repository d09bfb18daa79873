async def handle_put_orders_order_id(ex):
    # PUT /orders/{order_id}                                                                      # PUT /orders/{order_id} (routes.py:89)
    errors = []
    body = await read_json(ex, True, PLAN)                                                        # PUT /orders/{order_id} (routes.py:89)
    path = ex.path_params
    order_id = take_order_id(path.get('order_id'), errors)                                        # order_id: int (routes.py:89)
    fields = await take_read(take_fields, body, None, errors)                                     # order, address, urgent (routes.py:89)
    if errors:
        raise check(errors, body, FAILED, PLAN, ex)
    result = await call_two_bodies(order_id=order_id, **fields)                                   # PUT /orders/{order_id} (routes.py:89)
    if isinstance(result, Response):
        await respond_with(ex, result)
    else:
        data = json_bytes(result)
        if not ex.respond_at_once(HEAD, data):
            await ex.respond(HEAD, data)
