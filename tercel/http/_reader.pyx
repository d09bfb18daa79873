# cython: language_level=3, boundscheck=False, wraparound=False, embedsignature=False, freethreading_compatible=False
"""Models straight from JSON that is plainly what was declared; pydantic reads everything else, from its first byte.

Optional: without it pydantic reads all bodies. A `Reader` is one node of a tree that `tercel.analyse.readers` makes from a schema.
It takes a subset of what pydantic takes: as soon as a byte was not foreseen, what was made so far is dropped and pydantic is asked,
whose value or error counts. So it has no errors of its own. Knows neither schemas nor pydantic's classes. Read
`docs/design/0019-read-json.md` for the reasons.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t
from libc.string cimport memcmp, memcpy

from pydantic_core import ValidationError, from_json

include "_slots.pxi"

cdef extern from *:
    """
    /* As pydantic-core makes instances: by the class itself, without its constructor. */
    static PyObject *tercel_new_instance(PyObject *type, PyObject *nothing) {
        return ((PyTypeObject *) type)->tp_new((PyTypeObject *) type, nothing, NULL);
    }

    /* The number of bytes below the lowest one of which the highest bit is set, or -1 where the compiler cannot tell. */
    static int tercel_lowest(uint64_t marks) {
    #if (defined(__GNUC__) || defined(__clang__)) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        return __builtin_ctzll(marks) >> 3;
    #else
        return -1;
    #endif
    }
    """
    int tercel_lowest(uint64_t marks) noexcept
    object tercel_new_instance(object type, object nothing)

cdef extern from "Python.h":
    int PyObject_GenericSetDict(object owner, object value, void *context) except -1
    object PyObject_CallOneArg(object callable, object argument)
    object PyDict_Copy(object mapping)
    PyObject *PyDict_GetItemWithError(object mapping, object key) except? NULL
    int PyDict_SetItem(object mapping, object key, object value) except -1
    int PyList_Append(object values, object value) except -1
    object PyLong_FromLongLong(long long number)
    object PyFloat_FromDouble(double number)
    object PySet_New(PyObject *values)
    int PySet_Add(object values, object value) except -1
    PyObject *PyTuple_GET_ITEM(object values, Py_ssize_t index)
    Py_ssize_t PyTuple_GET_SIZE(object values)
    object PyUnicode_DecodeUTF8(const char *data, Py_ssize_t size, const char *errors)
    object PyUnicode_New(Py_ssize_t size, unsigned int largest)
    char *PyUnicode_1BYTE_DATA(object text)

cdef enum:
    STR, INT, FLOAT, BOOL, NONE, LITERAL, SCALAR, NULLABLE, LIST, MODEL

cdef dict KINDS = {
    "str": STR, "int": INT, "float": FLOAT, "bool": BOOL, "none": NONE, "literal": LITERAL, "scalar": SCALAR,
    "nullable": NULLABLE, "list": LIST, "model": MODEL,
}

# What a reader gives in place of a value.
cdef object DECLINED = object()
cdef tuple NOTHING = ()

# Nesting that is followed; pydantic gives up at 200.
cdef int DEPTH_MAX = 100
# RFC 8259 §7: what ends a run of characters that stand for themselves: quotation mark, backslash, control characters.
cdef unsigned char[256] PLAIN
# What a number consists of, and `true`, `false` and `null`.
cdef unsigned char[256] WORD
# Powers of ten that a double holds exactly.
cdef double[23] POWERS


cdef void fill_tables():
    cdef int index
    for index in range(32, 256):
        PLAIN[index] = 1
    PLAIN[34] = PLAIN[92] = 0
    for index in b"+-.0123456789Eaeflnrstu":
        WORD[index] = 1
    POWERS[0] = 1.0
    for index in range(1, 23):
        POWERS[index] = POWERS[index - 1] * 10.0


fill_tables()

# Where the slots of a model are, as `bind` was told.
cdef Py_ssize_t FIELDS_SET = -1
cdef Py_ssize_t EXTRA = -1
cdef Py_ssize_t PRIVATE = -1


def bind(fields_set, extra, private):
    """See `_reader.pyi`."""
    global FIELDS_SET, EXTRA, PRIVATE
    cdef Py_ssize_t first = tercel_slot_offset(fields_set)
    cdef Py_ssize_t second = tercel_slot_offset(extra)
    cdef Py_ssize_t third = tercel_slot_offset(private)
    if first < 0 or second < 0 or third < 0:
        return False
    FIELDS_SET, EXTRA, PRIVATE = first, second, third
    return True


# -- the text ----------------------------------------------------------------------------------------------------------------------

cdef struct Text:
    const unsigned char *at
    const unsigned char *end


cdef inline unsigned char look(Text *text) noexcept:
    """The next byte that is no white space (RFC 8259 §2); 0 at the end, where no value begins either."""
    while text.at < text.end:
        if text.at[0] > 32:
            return text.at[0]
        if text.at[0] != 32 and text.at[0] != 10 and text.at[0] != 13 and text.at[0] != 9:
            return 0
        text.at += 1
    return 0


cdef inline bint skip_plain(Text *text) noexcept:
    """Go on to the next character of a string that does not stand for itself; gives whether all before it are ASCII."""
    cdef uint64_t word = 0
    cdef uint64_t high = 0
    cdef uint64_t quotes, slashes, marks
    cdef int before
    while text.end - text.at >= 8:
        # Eight at a time: the lowest byte that is a quotation mark, a backslash or below 0x20 is marked; above it marks may be wrong.
        memcpy(&word, text.at, 8)
        quotes = word ^ 0x2222222222222222ULL
        slashes = word ^ 0x5C5C5C5C5C5C5C5CULL
        marks = (
            (word - 0x2020202020202020ULL) & ~word | (quotes - 0x0101010101010101ULL) & ~quotes
            | (slashes - 0x0101010101010101ULL) & ~slashes
        ) & 0x8080808080808080ULL
        if marks:
            before = tercel_lowest(marks)
            if before < 0:
                break
            high |= word & ((<uint64_t> 1 << 8 * before) - 1)
            text.at += before
            return not high & 0x8080808080808080ULL
        high |= word
        text.at += 8
    while text.at < text.end and PLAIN[text.at[0]]:
        high |= text.at[0]
        text.at += 1
    return not high & 0x8080808080808080ULL


cdef object read_str(Text *text):
    """A string, from its quotation mark on."""
    cdef const unsigned char *begin = text.at + 1
    cdef Py_ssize_t size
    cdef bint ascii
    text.at = begin
    ascii = skip_plain(text)
    if text.at == text.end:
        return DECLINED
    if text.at[0] != 34:
        return read_escaped(text, begin)
    size = text.at - begin
    text.at += 1
    if ascii and size > 1:
        made = PyUnicode_New(size, 127)
        memcpy(PyUnicode_1BYTE_DATA(made), begin, size)
        return made
    try:
        return PyUnicode_DecodeUTF8(<const char *> begin, size, NULL)
    except UnicodeDecodeError:
        return DECLINED


cdef object read_escaped(Text *text, const unsigned char *begin):
    """A string with escapes, by pydantic-core; the text is somewhere inside of it, `begin` behind its quotation mark."""
    if not skip_string(text):
        return DECLINED
    try:
        return from_json(PyBytes_FromStringAndSize(<const char *> begin - 1, text.at - begin + 1))
    except ValueError:
        return DECLINED


cdef bint skip_string(Text *text) noexcept:
    """Go on behind the quotation mark that ends a string; False if there is none."""
    while text.at < text.end:
        if text.at[0] == 34:
            text.at += 1
            return True
        # RFC 8259 §7: a backslash is followed by at least one character.
        text.at += 2 if text.at[0] == 92 else 1
    return False


cdef object read_int(Text *text):
    """At most 18 digits, without fraction and exponent (RFC 8259 §6: no leading zeros)."""
    cdef const unsigned char *begin
    cdef long long number = 0
    cdef bint negative = text.at[0] == 45
    if negative:
        text.at += 1
    begin = text.at
    while text.at < text.end and text.at[0] >= 48 and text.at[0] <= 57 and text.at - begin < 19:
        number = number * 10 + text.at[0] - 48
        text.at += 1
    if text.at == begin or text.at - begin > 18 or (begin[0] == 48 and (text.at - begin > 1 or negative)):
        return DECLINED
    if text.at < text.end and WORD[text.at[0]]:
        return DECLINED
    return PyLong_FromLongLong(-number if negative else number)


cdef object read_float(Text *text):
    """A number whose digits make at most 2**53 and that has at most 22 of them behind the point.

    Both are then exact, and the division rounds once, as reading the decimal does (Clinger 1990).
    """
    cdef const unsigned char *begin
    cdef const unsigned char *point = NULL
    cdef uint64_t digits = 0
    cdef Py_ssize_t places = 0
    cdef double number
    cdef bint negative = text.at[0] == 45
    if negative:
        text.at += 1
    begin = text.at
    while text.at < text.end:
        if text.at[0] >= 48 and text.at[0] <= 57:
            digits = digits * 10 + text.at[0] - 48
            if digits > 9_007_199_254_740_992:
                return DECLINED
        elif text.at[0] == 46 and point == NULL and text.at > begin:
            point = text.at
        else:
            break
        text.at += 1
    if text.at == begin or (begin[0] == 48 and begin + 1 < text.at and begin + 1 != point):
        return DECLINED
    if point != NULL:
        places = text.at - point - 1
    elif negative and digits == 0:
        return DECLINED  # an integer, which has no negative zero
    if (point != NULL and places == 0) or places > 22 or (text.at < text.end and WORD[text.at[0]]):
        return DECLINED
    number = <double> digits / POWERS[places]
    return PyFloat_FromDouble(-number if negative else number)


cdef bint skip_word(Text *text, const char *word, Py_ssize_t size) noexcept:
    """Go on behind `true`, `false` or `null`; False if it is another."""
    if text.end - text.at < size or memcmp(text.at, word, size) != 0:
        return False
    text.at += size
    return True


# -- declared values ---------------------------------------------------------------------------------------------------------------


cdef class Reader:
    """See the module; what each kind needs is told in `_reader.pyi`."""

    cdef int kind
    cdef object cls
    cdef object validate
    cdef dict expected
    cdef dict defaults
    cdef frozenset all_names
    cdef tuple names
    cdef tuple keys
    cdef tuple parts
    cdef uint64_t required
    cdef uint64_t everything
    cdef Reader item

    def __init__(self, str kind, *, Reader item=None, expected=(), validate=None):
        self.kind = KINDS[kind]
        self.item = item
        self.expected = {text: text for text in expected}
        self.validate = validate

    def set_model(self, cls, fields, defaults):
        cdef Py_ssize_t place
        self.names = tuple(name for name, _, _ in fields)
        self.keys = tuple(key.encode() + b'"' for _, key, _ in fields)
        self.parts = tuple(part for _, _, part in fields)
        if len(self.names) > 64:
            raise ValueError("more than 64 fields")
        for place, name in enumerate(self.names):
            self.everything |= <uint64_t> 1 << place
            if name not in defaults:
                self.required |= <uint64_t> 1 << place
        self.defaults = {name: defaults.get(name) for name in self.names}
        self.all_names = frozenset(self.names)
        self.cls = cls

    def set_fallback(self, validate):
        self.validate = validate

    def read(self, raw):
        cdef Text text
        if type(raw) is bytes:
            text.at = <const unsigned char *> PyBytes_AS_STRING(raw)
            text.end = text.at + PyBytes_GET_SIZE(raw)
            value = read_value(self, &text, DEPTH_MAX)
            if value is not DECLINED and look(&text) == 0 and text.at == text.end:
                return value
        return PyObject_CallOneArg(self.validate, raw)


cdef object read_value(Reader self, Text *text, int depth):
    """The value that begins here, behind white space, or DECLINED."""
    cdef int kind = self.kind
    cdef unsigned char first = look(text)
    if kind == STR:
        return read_str(text) if first == 34 else DECLINED
    if kind == MODEL:
        return read_model(self, text, depth - 1) if first == 123 and depth > 0 else DECLINED
    if kind == LIST:
        return read_list(self, text, depth - 1) if first == 91 and depth > 0 else DECLINED
    if kind == NULLABLE:
        if first == 110:
            return None if skip_word(text, b"null", 4) else DECLINED
        return read_value(self.item, text, depth)
    if kind == LITERAL:
        return read_literal(self, text) if first == 34 else DECLINED
    if kind == SCALAR:
        return read_scalar(self, text, first)
    if kind == BOOL:
        if first == 116:
            return True if skip_word(text, b"true", 4) else DECLINED
        return False if first == 102 and skip_word(text, b"false", 5) else DECLINED
    if kind == NONE:
        return None if first == 110 and skip_word(text, b"null", 4) else DECLINED
    if first != 45 and (first < 48 or first > 57):
        return DECLINED
    return read_int(text) if kind == INT else read_float(text)


cdef object read_literal(Reader self, Text *text):
    """One of the strings that were declared: the object that stands in the declaration."""
    cdef PyObject *found
    said = read_str(text)
    if said is DECLINED:
        return DECLINED
    found = PyDict_GetItemWithError(self.expected, said)
    return DECLINED if found == NULL else <object> found


cdef object read_scalar(Reader self, Text *text, unsigned char first):
    """A string, number or constant that pydantic validates on its own: a date, or what has bounds."""
    cdef const unsigned char *begin = text.at
    if first == 34:
        text.at += 1
        if not skip_string(text):
            return DECLINED
    else:
        while text.at < text.end and WORD[text.at[0]]:
            text.at += 1
    try:
        return PyObject_CallOneArg(self.validate, PyBytes_FromStringAndSize(<const char *> begin, text.at - begin))
    except ValidationError:
        return DECLINED


cdef object read_list(Reader self, Text *text, int depth):
    cdef Reader part = self.item
    cdef unsigned char next
    values = []
    text.at += 1
    if look(text) == 93:
        text.at += 1
        return values
    while True:
        value = read_value(part, text, depth)
        if value is DECLINED:
            return DECLINED
        PyList_Append(values, value)
        next = look(text)
        text.at += 1
        if next == 93:
            return values
        if next != 44:
            return DECLINED


cdef inline Py_ssize_t find_key(Reader self, Text *text, Py_ssize_t usual) noexcept:
    """Which field's key stands here, behind its quotation mark; -1 for none. Goes on behind the key."""
    cdef Py_ssize_t count = PyTuple_GET_SIZE(self.keys)
    cdef Py_ssize_t tried, size
    cdef Py_ssize_t place = usual
    cdef PyObject *key
    for tried in range(count):
        if place == count:
            place = 0
        key = PyTuple_GET_ITEM(self.keys, place)
        size = PyBytes_GET_SIZE(<object> key)
        if text.end - text.at >= size and memcmp(text.at, PyBytes_AS_STRING(<object> key), size) == 0:
            text.at += size
            return place
        place += 1
    return -1


cdef object read_model(Reader self, Text *text, int depth):
    """An object with known keys only, none of them twice, and all that have no default."""
    cdef uint64_t seen = 0
    cdef Py_ssize_t place = 0
    cdef unsigned char next
    fields = PyDict_Copy(self.defaults)
    text.at += 1
    next = look(text)
    if next == 125:
        text.at += 1
    while next != 125:
        if look(text) != 34:
            return DECLINED
        text.at += 1
        place = find_key(self, text, place)
        if place < 0 or seen & <uint64_t> 1 << place or look(text) != 58:
            return DECLINED
        text.at += 1
        seen |= <uint64_t> 1 << place
        value = read_value(<Reader> PyTuple_GET_ITEM(self.parts, place), text, depth)
        if value is DECLINED:
            return DECLINED
        PyDict_SetItem(fields, <object> PyTuple_GET_ITEM(self.names, place), value)
        place += 1
        next = look(text)
        text.at += 1
        if next != 44 and next != 125:
            return DECLINED
    if seen & self.required != self.required:
        return DECLINED
    return make_instance(self, fields, seen)


cdef object make_instance(Reader self, object fields, uint64_t seen):
    """As pydantic-core leaves an instance that it has validated."""
    cdef Py_ssize_t place
    if seen == self.everything:
        names = PySet_New(<PyObject *> self.all_names)
    else:
        names = PySet_New(NULL)
        for place in range(PyTuple_GET_SIZE(self.names)):
            if seen & <uint64_t> 1 << place:
                PySet_Add(names, <object> PyTuple_GET_ITEM(self.names, place))
    made = tercel_new_instance(self.cls, NOTHING)
    PyObject_GenericSetDict(made, fields, NULL)
    put(made, FIELDS_SET, names)
    put(made, EXTRA, None)
    put(made, PRIVATE, None)
    return made
