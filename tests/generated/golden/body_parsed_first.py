async def handle_post_addresses(ex):
    # POST /addresses                                                                             # POST /addresses (routes.py:92)
    errors = []
    body = await read_json(ex, True, PLAN)                                                        # POST /addresses (routes.py:92)
    address = await take_read(take_address, body, 'address', errors)                              # address (routes.py:92)
    if errors:
        raise check(errors, body, FAILED, PLAN, ex)
    result = await call_body_parsed_first(address=address)                                        # POST /addresses (routes.py:92)
    if isinstance(result, Response):
        await respond_with(ex, result)
    else:
        data = json_bytes(result)
        if not ex.respond_at_once(HEAD, data):
            await ex.respond(HEAD, data)
