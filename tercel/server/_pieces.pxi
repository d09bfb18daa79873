# The pieces of a stream, taken from an asynchronous generator without what `async for` makes for each: an awaitable and a StopIteration.
#
# A generator is resumed as its awaitable would do it, by `PyIter_Send`. What it gives is either a piece, which the interpreter wraps
# so that it can be told from what is awaited, or something to wait for, which is handed to the task. `ag_running` is set as that
# awaitable would set it, so that whoever iterates at the same time is told so. The first piece is asked for with `__anext__`, which
# tells the event loop of the generator, and so is whatever an exception is thrown into.

cdef extern from *:
    """
    /* Where a flag is in the instances of a class, or -1 if it cannot be written there. */
    static Py_ssize_t tercel_flag_offset(PyObject *descriptor) {
    #ifdef Py_GIL_DISABLED
        return -1;
    #else
    #if PY_VERSION_HEX < 0x030C0000
        const int kind = T_BOOL;
    #else
        const int kind = Py_T_BOOL;
    #endif
        if (!Py_IS_TYPE(descriptor, &PyMemberDescr_Type)) return -1;
        PyMemberDef *member = ((PyMemberDescrObject *) descriptor)->d_member;
        return member->type == kind ? member->offset : -1;
    #endif
    }

    static int tercel_note(PyObject *found, void *place) {
        *(PyObject **) place = found;
        return 0;
    }

    /* The only thing that an object refers to, borrowed; NULL if it refers to nothing. */
    static PyObject *tercel_referent(PyObject *owner) {
        PyObject *found = NULL;
        Py_TYPE(owner)->tp_traverse(owner, tercel_note, &found);
        return found;
    }
    """
    Py_ssize_t tercel_flag_offset(object descriptor)
    PyObject *tercel_referent(object owner)

cdef extern from "Python.h":
    # 0: it has returned; 1: it has given something.
    int PyIter_Send(object iterator, object value, PyObject **result) except -1

cdef struct StreamSlots:
    Py_ssize_t gather, held, held_bytes, left, silent

cdef StreamSlots R
cdef object StreamClass = None
cdef object GeneratorClass = None
cdef object Wrapped = None
cdef object pure_write_each = None
cdef Py_ssize_t RUNNING = -1
cdef object END = object()


cdef class WrittenEach:
    """What `write_each` returns: awaiting it sends what a generator gives, as `ResponseStream.write_each` does.

    Attributes:
        stream: takes the pieces.
        pieces: the generator.
        encode: makes bytes of a piece that is none.
        held: the list of the stream's pieces that wait to be sent.
        gather_bytes: so many may wait, where a stream gathers at all.
        asking: what `__anext__` returned, while it is awaited.
        writing: a piece being written that could not just be held.
        begun: the first piece was asked for.
        waiting: the generator waits for something, and was not resumed through `asking`.
    """

    cdef object stream, pieces, encode, asking, writing
    cdef list held
    cdef Py_ssize_t gather_bytes
    cdef bint begun, waiting

    def __cinit__(self, stream, pieces, encode):
        self.stream, self.pieces, self.encode = stream, pieces, encode
        self.held = <list> peek(stream, R.held)
        gathers = holds(stream, R.left, None) and holds(stream, R.silent, False)
        self.gather_bytes = <object> peek(stream, R.gather) if gathers else 0

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        waits_for = self.advance()
        if waits_for is END:
            raise StopIteration
        return waits_for

    def send(self, value):
        """As of a generator; the value is None, as tasks send it."""
        return self.__next__()

    def throw(self, *error):
        """As of a generator: into what is awaited."""
        try:
            if self.writing is not None:
                return self.writing.throw(*error)
            return self.asked().throw(*error)
        except StopIteration as ended:
            if self.writing is not None:
                self.writing = None
            else:
                self.asking = None
                self.take(ended.value)
        except StopAsyncIteration:
            self.asking = None
            raise StopIteration from None
        return self.__next__()

    def close(self):
        """As of a generator."""
        if not self.begun:
            return
        try:
            self.throw(GeneratorExit())
        except (GeneratorExit, StopIteration):
            return
        raise RuntimeError("the generator of a stream ignored GeneratorExit")

    cdef object asked(self):
        """The awaitable of the next piece; that of this one if the generator waits for something."""
        if self.asking is None:
            if self.waiting:
                self.waiting = False
                set_running(self.pieces, False)
            self.begun = True
            self.asking = self.pieces.__anext__()
        return self.asking

    cdef object advance(self):
        """Take pieces until something has to be waited for, which is returned, or until the END."""
        cdef PyObject *given = NULL
        cdef bint more
        while True:
            if self.writing is not None:
                more = PyIter_Send(self.writing, None, &given)
                value = take_reference(given)
                if more:
                    return value
                self.writing = None
            if self.asking is None and self.begun and (self.waiting or not is_running(self.pieces)):
                set_running(self.pieces, True)
                self.waiting = False
                try:
                    more = PyIter_Send(self.pieces, None, &given)
                except BaseException:
                    set_running(self.pieces, False)
                    raise
                value = take_reference(given)
                if more and type(value) is not Wrapped:
                    self.waiting = True
                    return value
                set_running(self.pieces, False)
                if not more:
                    return END
                value = <object> tercel_referent(value)
            else:
                try:
                    more = PyIter_Send(self.asked(), None, &given)
                except StopAsyncIteration:
                    self.asking = None
                    return END
                value = take_reference(given)
                if more:
                    return value
                self.asking = None
            self.take(value)

    cdef int take(self, object piece) except -1:
        """Hold a piece for later, in the usual case; otherwise leave what writes it in `writing`."""
        cdef Py_ssize_t held_bytes
        data = piece if type(piece) is bytes else self.encode(piece)
        # What is held already goes out when the task suspends, and this with it.
        if type(data) is bytes and self.held:
            held_bytes = <Py_ssize_t> <object> peek(self.stream, R.held_bytes) + PyBytes_GET_SIZE(data)
            if held_bytes < self.gather_bytes:
                self.held.append(data)
                put(self.stream, R.held_bytes, held_bytes)
                return 0
        if not self.stream.write_at_once(data):
            self.writing = self.stream.write(data)
        return 0


cdef inline object take_reference(PyObject *given):
    """An object whose reference belongs to the caller."""
    value = <object> given
    Py_XDECREF(given)
    return value


cdef inline bint is_running(object generator) noexcept:
    return (<char *> <void *> generator + RUNNING)[0] != 0


cdef inline void set_running(object generator, bint running) noexcept:
    (<char *> <void *> generator + RUNNING)[0] = running


def write_each(self, pieces, encode):
    """See `Exchange.write_each`."""
    if type(self) is ExchangeClass and RUNNING >= 0 and type(pieces) is GeneratorClass:
        stream = <object> peek(self, E.stream)
        if type(stream) is StreamClass:
            return WrittenEach(stream, pieces, encode)
    return pure_write_each(self, pieces, encode)


cdef int bind_pieces(object stream_class, object generator) except -1:
    """Take the slots of streams, and find out how the interpreter wraps what this generator gives, which is b"piece"."""
    global StreamClass, GeneratorClass, Wrapped, RUNNING, pure_write_each
    cdef PyObject *given = NULL
    StreamClass, GeneratorClass = stream_class, type(generator)
    pure_write_each = PureExchange.write_each
    R.gather = slot(stream_class, "_gather_bytes")
    R.held = slot(stream_class, "_held")
    R.held_bytes = slot(stream_class, "_held_bytes")
    R.left = slot(stream_class, "_left_bytes")
    R.silent = slot(stream_class, "_silent")
    PyIter_Send(generator, None, &given)
    value = take_reference(given)
    Wrapped = type(value)
    if Wrapped is not bytes and gc.get_referents(value) == [b"piece"]:
        RUNNING = tercel_flag_offset(GeneratorClass.ag_running)
    return 0
