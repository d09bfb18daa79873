# Part of `_frames.pyx`: who waits for a message, and what goes on when one has come.


def raise_again(error):
    raise error


cdef class Receivers:
    """See `_frames.pyi`."""

    cdef object loop
    cdef list futures
    cdef object last  # the future of a `Receiving` that was made last
    cdef Stepped parked  # its coroutine waits for a message, and its future is not among `futures`
    cdef Stepped stepping  # its coroutine runs, called by `Stepped.step`

    def __init__(self, loop):
        self.loop = loop
        self.futures = []

    cpdef object future(self):
        future = Future(loop=self.loop)
        self.futures.append(future)
        return future

    cdef object wait(self):
        """What a `Receiving` returns to whoever awaits it."""
        cdef Stepped stepping = self.stepping
        if stepping is not None and current_task(self.loop) is stepping.task:
            self.parked = stepping
            return stepping.future
        future = self.future()
        future._asyncio_future_blocking = True
        self.last = future
        return future

    cdef inline int forget(self, Stepped stepped) except -1:
        if self.parked is stepped:
            self.parked = None
        return 0

    cpdef object wake(self):
        cdef Stepped parked = self.parked
        if parked is not None:
            self.parked = None
            self.futures.append(parked.future)
        if self.futures:
            futures, self.futures = self.futures, []
            for future in futures:
                if not future.done():
                    future.set_result(None)

    cdef inline bint is_ready(self) noexcept:
        """Whether a message would go to the one coroutine that waits, at once."""
        return self.parked is not None and not self.futures

    cpdef object arrived(self):
        if self.parked is not None:
            if self.futures or not self.parked.step():
                self.wake()
            return None
        if not self.futures:
            return None
        future = self.futures[0]
        callbacks = future._callbacks
        if len(self.futures) != 1 or callbacks is None or len(callbacks) != 1 or current_task(self.loop) is not None:
            return self.wake()
        self.futures.clear()
        callback, context = callbacks[0]
        self.go_on(future, callback, context)
        return None

    cdef int go_on(self, future, callback, context) except -1:
        """End a future, and call its one callback, in its context, without a turn of the loop."""
        future.remove_done_callback(callback)
        future.set_result(None)
        try:
            PyContext_Enter(context)
        except RuntimeError:
            # It is the one that is running now.
            self.loop.call_soon(callback, future, context=context)
            return 0
        try:
            PyObject_CallOneArg(callback, future)
        except BaseException as error:
            # Only what ends the process comes out of a task's step; the event loop has to see it.
            self.loop.call_soon(raise_again, error)
        finally:
            PyContext_Exit(context)
        return 0


@cython.freelist(64)
cdef class Awaitable:
    """Awaited once, as a coroutine is, and a coroutine to all who ask: around `inner`, once there is one.

    The fields of `Receiving` and `Sending` are here, since only objects of this size are taken from those that were used before.
    """

    cdef object inner
    cdef bint begun
    cdef bint ended
    cdef bint is_text
    cdef Talk socket
    cdef object data

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def close(self):
        if self.inner is not None:
            self.inner.close()
        self.begun = self.ended = True

    cdef int check(self) except -1:
        if self.ended:
            raise RuntimeError("cannot reuse already awaited coroutine")
        return 0


# -- a coroutine that is called where the message arrives --------------------------------------------------------------------------


@cython.final
cdef class Stepped(Awaitable):
    """See `_frames.pyi`.

    While its coroutine does nothing but wait for messages, the task around it waits for one and the same future. What else the
    coroutine does (it waits for something else, returns or raises) is kept, the future is ended, and the task goes on: it finds
    that here.
    """

    cdef Receivers receivers
    cdef object task
    cdef object future  # that the task waits for
    cdef object wake_up, context  # the future's callback and its context; None before they are known
    cdef object outcome
    cdef int kind  # of the outcome, as `PyIter_Send` says, or NOTHING

    def __next__(self):
        return next_of(self, resume)

    def send(self, value):
        return self.__next__()

    def throw(self, kind, value=None, trace=None):
        error = make_exception(kind, value, trace)
        self.receivers.forget(self)
        if self.kind == PYGEN_NEXT and isinstance(error, CancelledError):
            # The task was cancelled by its own coroutine, which waits for something else now: that is what has to be cancelled.
            outcome = self.take_outcome()
            cancel = getattr(outcome, "cancel", None)
            if cancel is not None and cancel(*error.args):
                return outcome
        elif self.kind == PYGEN_ERROR:
            raise self.take_outcome()
        elif self.kind == PYGEN_RETURN:
            self.take_outcome()
            raise error
        self.take_outcome()
        return self.look_at(self.inner.throw(error))

    cdef object take_outcome(self):
        outcome, self.outcome, self.kind = self.outcome, None, NOTHING
        return outcome

    cdef object look_at(self, result):
        """What the coroutine gave to its task: from here on it may be called without that."""
        cdef Receivers receivers = self.receivers
        if result is receivers.last and len(receivers.futures) == 1 and receivers.futures[0] is result:
            receivers.futures.clear()
            receivers.parked = self
            self.future = result
            self.wake_up = self.context = None
        receivers.last = None
        return result

    cdef bint step(self) except -1:
        """Call the coroutine, for which a message has come; False, and nothing was done, where its task has to do that."""
        cdef Receivers receivers = self.receivers
        cdef PyObject *result = NULL
        cdef int kind
        future = self.future
        if self.context is None:
            callbacks = future._callbacks
            if callbacks is None or len(callbacks) != 1 or getattr(callbacks[0][0], "__self__", None) is not self.task:
                return False
            self.wake_up, self.context = callbacks[0]
        elif future.done():
            return False
        try:
            PyContext_Enter(self.context)
        except RuntimeError:
            return False
        try:
            try:
                enter_task(receivers.loop, self.task)
            except RuntimeError:
                return False
            receivers.parked = None
            receivers.stepping = self
            kind = PyIter_Send(self.inner, None, &result)
            receivers.stepping = None
            if kind == PYGEN_NEXT and <object> result is future:
                Py_DECREF(future)
            else:
                receivers.forget(self)
                self.keep(kind, result)
            leave_task(receivers.loop, self.task)
        finally:
            PyContext_Exit(self.context)
        if self.kind != NOTHING and not future.done():
            receivers.go_on(future, self.wake_up, self.context)
        return True

    cdef int keep(self, int kind, PyObject *result) except -1:
        if kind == PYGEN_ERROR:
            self.outcome = tercel_take_raised()
        else:
            self.outcome = <object> result
            Py_DECREF(self.outcome)
        self.kind = kind
        return 0


cdef object resume(object step, int *ended):
    """What the task of a `Stepped` calls."""
    cdef Stepped self = step
    cdef PyObject *result = NULL
    cdef int kind = self.kind
    self.check()
    self.receivers.forget(self)
    if kind == NOTHING:
        if not self.begun:
            self.begun = True
            self.task = current_task(self.receivers.loop)
        kind = PyIter_Send(self.inner, None, &result)
        if kind == PYGEN_NEXT:
            value = <object> result
            Py_DECREF(value)
            return self.look_at(value)
        self.keep(kind, result)
    outcome = self.take_outcome()
    if kind == PYGEN_NEXT:
        return self.look_at(outcome)
    self.ended = True
    self.task = self.future = self.wake_up = self.context = None
    ended[0] = RAISED if kind == PYGEN_ERROR else RETURNED
    return outcome


# -- what the methods of a `WebSocket` return --------------------------------------------------------------------------------------


cdef class Step(Awaitable):
    """Nothing happens before it is awaited. Where the usual way is not possible it goes on as Starlette's coroutine."""

    def send(self, value):
        if self.inner is not None:
            return self.inner.send(value)
        return self.__next__()

    def throw(self, kind, value=None, trace=None):
        if self.inner is not None:
            return self.inner.throw(kind) if value is None and trace is None else self.inner.throw(kind, value, trace)
        self.begun = self.ended = True
        raise make_exception(kind, value, trace)


@cython.final
cdef class Receiving(Step):
    """`receive_text` and `receive_bytes`."""

    def __next__(self):
        return next_of(self, receive)


cdef object receive(object step, int *ended):
    cdef Receiving self = <Receiving> step
    cdef Talk socket
    cdef Gate gate
    if self.inner is not None:
        return self.inner.send(None)
    socket = self.socket
    gate = socket.gate
    if not self.begun:
        self.begun = True
        if gate is None or socket.application_state is not CONNECTED or socket.client_state is not CONNECTED:
            if not socket.connected():
                self.inner = (starlette_receive_text if self.is_text else starlette_receive_bytes)(socket)
                return self.inner.send(None)
            gate = socket.gate
    self.check()
    payload = gate.take()
    if payload is None:
        return gate.receivers.wait()
    self.ended = True
    if type(payload) is not (str if self.is_text else bytes):
        raise socket._other(payload, "text" if self.is_text else "bytes")
    ended[0] = RETURNED
    return payload


@cython.final
cdef class Sending(Step):
    """`send_text` and `send_bytes`."""

    def __next__(self):
        return next_of(self, send)


cdef object send(object step, int *ended):
    cdef Sending self = <Sending> step
    cdef Talk socket
    if self.inner is not None:
        return self.inner.send(None)
    self.check()
    self.begun = True
    socket, data = self.socket, self.data
    if type(data) is (str if self.is_text else bytes) and socket.application_state is CONNECTED and (socket.gate is not None or socket.connected()):
        if socket.gate.sends() and socket.gate.send_now(data):
            self.ended = True
            ended[0] = RETURNED
            return None
    self.inner = (starlette_send_text if self.is_text else starlette_send_bytes)(socket, data)
    return self.inner.send(None)


cdef object next_of(object step, tercel_step function):
    """What a call of `__next__` does, which `await` does without one."""
    cdef int ended = 0
    value = function(step, &ended)
    if ended == RETURNED:
        raise StopIteration(value)
    if ended == RAISED:
        raise value
    return value


tercel_set_next(Stepped, resume)
tercel_set_next(Receiving, receive)
tercel_set_next(Sending, send)


cdef class Talk:
    """See `_frames.pyi`."""

    cdef public object scope, _receive, _send, _session, client_state, application_state
    cdef Gate gate  # of the session, once it is known

    cdef bint connected(self) except -1:
        """Whether both sides are connected over a gate."""
        if self.application_state is not CONNECTED or self.client_state is not CONNECTED:
            return False
        self.gate = self._session._gate
        return self.gate is not None


def receive_text(Talk self):
    cdef Receiving step = Receiving.__new__(Receiving)
    step.socket, step.is_text = self, True
    return step


def receive_bytes(Talk self):
    cdef Receiving step = Receiving.__new__(Receiving)
    step.socket, step.is_text = self, False
    return step


def send_text(Talk self, data):
    cdef Sending step = Sending.__new__(Sending)
    step.socket, step.data, step.is_text = self, data, True
    return step


def send_bytes(Talk self, data):
    cdef Sending step = Sending.__new__(Sending)
    step.socket, step.data, step.is_text = self, data, False
    return step


def step_by_step(Receivers receivers, coroutine):
    cdef Stepped stepped = Stepped.__new__(Stepped)
    stepped.receivers, stepped.inner, stepped.kind = receivers, coroutine, NOTHING
    return stepped


cdef object make_exception(kind, value, trace):
    """The exception that a call of a coroutine's `throw` means."""
    error = kind if isinstance(kind, BaseException) else value
    if not isinstance(error, BaseException):
        error = kind() if error is None else kind(error)
    return error if trace is None else error.with_traceback(trace)
