async def handle_get_shared(ex):
    # GET /shared                                                                                 # GET /shared (routes.py:136)
    errors = []
    mark_user = len(errors)
    settings = call_settings()                                                                    # Depends(settings) (routes.py:112)
    x_token = take_x_token(ex.text_of(b'x-token'), errors)                                        # x-token: str (routes.py:128)
    user = FAILED if x_token is FAILED else await call_user(settings=settings, x_token=x_token)   # Depends(user) (routes.py:128)
    end_user = len(errors)
    admin = FAILED if user is FAILED else await call_admin(user=user, settings=settings)          # Depends(admin) (routes.py:132)
    if user is FAILED:
        errors.extend(errors[mark_user:end_user])
    if errors:
        raise check(errors, Undefined, FAILED, PLAN, ex)
    result = await call_shared_dependencies(admin=admin, user=user)                               # GET /shared (routes.py:136)
    if isinstance(result, Response):
        await respond_with(ex, result)
    else:
        data = dump_result(result, ex)
        if not ex.respond_at_once(HEAD, data):
            await ex.respond(HEAD, data)
