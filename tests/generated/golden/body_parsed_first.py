async def handle_post_addresses(ex):
    # POST /addresses                                                                             # POST /addresses (routes.py:94)
    errors = []
    body = await read_json(ex, True, PLAN)                                                        # POST /addresses (routes.py:94)
    address = await take_read(take_address, body, 'address', errors)                              # address (routes.py:94)
    if errors:
        raise check(errors, body, FAILED, PLAN, ex)
    result = await call_body_parsed_first(address=address)                                        # POST /addresses (routes.py:94)
    if isinstance(result, Response):
        await respond_with(ex, result)
    else:
        data = json_bytes(result)
        if not ex.respond_at_once(HEAD, data):
            await ex.respond(HEAD, data)
