async def handle_ws_rooms_room(ex):
    # WS /rooms/{room}                                                                            # WS /rooms/{room} (routes.py:267)
    errors = []
    scope = RequestScope(ex, strict=False)
    try:
        settings = call_settings()                                                                # Depends(settings) (routes.py:112)
        x_token = take_x_token(ex.text_of(b'x-token'), errors)                                    # x-token: str (routes.py:128)
        user = FAILED if x_token is FAILED else await call_user(settings=settings, x_token=x_token)  # Depends(user) (routes.py:128)
        path = ex.path_params
        room = take_room(path.get('room'), errors)                                                # room: str (routes.py:267)
        websocket = scope.shared(ex.view)
        if errors:
            raise check(errors, Undefined, FAILED, PLAN, ex)
        await call_socket(user=user, room=room, websocket=websocket)                              # WS /rooms/{room} (routes.py:267)
    except BaseException as error:
        if not await scope.leave_raised(error):
            raise
    else:
        if await scope.leave() is not LEFT:
            await scope.refuse_yield()
