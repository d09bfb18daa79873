# Slots of Python classes, read and written where they lie: included by the extensions that make objects without their constructors.

from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF

cdef extern from *:
    """
    #include <stddef.h>
    #if PY_VERSION_HEX < 0x030C0000
    #include <structmember.h>
    #define TERCEL_OBJECT_SLOT T_OBJECT_EX
    #else
    #define TERCEL_OBJECT_SLOT Py_T_OBJECT_EX
    #endif

    /* Where a slot is in the instances of a class, or -1 if the object is no descriptor of a slot. */
    static Py_ssize_t tercel_slot_offset(PyObject *descriptor) {
        if (!Py_IS_TYPE(descriptor, &PyMemberDescr_Type)) return -1;
        PyMemberDef *member = ((PyMemberDescrObject *) descriptor)->d_member;
        return member->type == TERCEL_OBJECT_SLOT ? member->offset : -1;
    }
    """
    Py_ssize_t tercel_slot_offset(object descriptor)


cdef inline PyObject *peek(object owner, Py_ssize_t offset) noexcept:
    """What a slot holds, borrowed; NULL when it was deleted."""
    return (<PyObject **> ((<char *> <void *> owner) + offset))[0]


cdef inline void fill(object owner, Py_ssize_t offset, object value) noexcept:
    """Set a slot that is still empty."""
    Py_INCREF(value)
    (<PyObject **> ((<char *> <void *> owner) + offset))[0] = <PyObject *> value


cdef inline void put(object owner, Py_ssize_t offset, object value) noexcept:
    """Set a slot."""
    cdef PyObject **place = <PyObject **> ((<char *> <void *> owner) + offset)
    cdef PyObject *before = place[0]
    Py_INCREF(value)
    place[0] = <PyObject *> value
    Py_XDECREF(before)
