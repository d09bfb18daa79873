# Part of `_frames.pyx`: the sockets that have something to read, asked for all at once and read without the transports.


def report(loop, error):
    """What an event loop does with what a protocol raised."""
    if not isinstance(error, Exception):
        raise error
    loop.call_exception_handler({"message": "Fatal error: a WebSocket's bytes could not be taken", "exception": error})


cdef class Hub:
    """See `_frames.pyi`."""

    cdef object loop, view
    cdef bytearray room
    cdef char *data
    cdef Py_ssize_t room_bytes
    cdef int poll
    cdef dict gates  # by descriptor: those that listen
    cdef uint64_t last_mark

    def __init__(self, loop, Py_ssize_t room_bytes):
        self.loop = loop
        self.room = bytearray(room_bytes)
        self.view = memoryview(self.room)
        self.data = PyByteArray_AS_STRING(self.room)
        self.room_bytes = room_bytes
        self.poll = -1
        self.gates = {}

    def __cinit__(self):
        self.poll = -1

    def __dealloc__(self):
        if self.poll >= 0:
            tercel_poll_end(self.poll)

    cdef bint add(self, Gate gate) except -1:
        """Read for a gate from now on; False where that cannot be."""
        if gate.listens:
            return True
        if self.poll < 0 and not self.open():
            return False
        self.last_mark += 1
        # A descriptor comes again with another socket; such a mark never does.
        gate.mark = self.last_mark << 32 | <uint64_t> gate.descriptor
        if tercel_poll_add(self.poll, gate.descriptor, gate.mark):
            self.close_if_unused()
            return False
        self.gates[gate.descriptor] = gate
        gate.listens = True
        return True

    cdef int remove(self, Gate gate) except -1:
        if gate.listens:
            gate.listens = False
            if self.gates.get(gate.descriptor) is gate:
                del self.gates[gate.descriptor]
                tercel_poll_remove(self.poll, gate.descriptor)
                self.close_if_unused()
        return 0

    cdef bint open(self) except -1:
        self.poll = tercel_poll_make()
        if self.poll < 0:
            return False
        try:
            # In a context of its own: that of the task which is the first to accept is not for all.
            contextvars.Context().run(self.loop.add_reader, self.poll, self.read)
        except NotImplementedError:
            tercel_poll_end(self.poll)
            self.poll = -1
            return False
        return True

    cdef int close_if_unused(self) except -1:
        if not self.gates and self.poll >= 0:
            poll, self.poll = self.poll, -1
            if not self.loop.is_closed():
                self.loop.remove_reader(poll)
            tercel_poll_end(poll)
        return 0

    def read(self):
        """Called by the event loop: read once from each socket that has something."""
        cdef uint64_t[READY_MAX] marks
        cdef char[READY_MAX] broken
        cdef int place
        cdef Gate gate
        for place in range(tercel_poll_look(self.poll, marks, broken)):
            gate = self.gates.get(<int> (marks[place] & 0xFFFFFFFF))
            if gate is None or gate.mark != marks[place]:
                continue
            try:
                # The end and every error are the transport's to find.
                if broken[place] or gate.read() in (0, -2):
                    gate.give_back()
            except BaseException as error:
                gate.session.abort()
                self.loop.call_soon(report, self.loop, error)
