# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=False
"""The binding: checks what it is given, lets the kernels in csrc/ run without the GIL, and raises what they report.

The same names as tracezip.reference; tracezip/_backend.py describes them.
"""

import os
import sys
from array import array

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_REFCNT
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from tracezip.errors import UsageError, damaged_section, section_beyond_limits
from tracezip.varint import pack_varint

NAME = "native"

cdef extern from "Python.h":
    int _PyBytes_Resize(PyObject **string, Py_ssize_t n) except -1

cdef extern from "lookup.h" nogil:
    ctypedef struct U64s:
        const uint64_t *v
        size_t n
    ctypedef struct U32s:
        const uint32_t *v
        size_t n
    ctypedef struct MessageRow:
        uint64_t prefix_n, skip
        uint32_t n_resources, continues
    ctypedef struct MessageRows:
        const MessageRow *v
        size_t n
    ctypedef struct Batch:
        MessageRows messages
        U64s trace_hi, trace_lo, span_id, parent_id, start, end, event_time
        U32s n_scopes, n_spans, n_events, n_links
    ctypedef struct RowReader:
        const Batch *b
    ctypedef struct FieldName:
        uint32_t place, tag
        const uint8_t *key
        size_t key_n
    enum: N_PLACES
    size_t rows_of(const RowReader *r, uint32_t place)
    int rows_field(const RowReader *r, const FieldName *f, uint32_t *to)
    void rows_atom(const RowReader *r, uint32_t atom, const uint8_t **p, size_t *n)
    int rows_measure(const RowReader *r, uint32_t kind, const uint32_t *rows, size_t n, uint64_t *n_bytes)
    int rows_write(const RowReader *r, uint32_t kind, const uint32_t *rows, size_t n, uint8_t *const *to)

cdef extern from "encode.h" nogil:
    ctypedef struct Preset:
        pass
    ctypedef struct CEncoder "Encoder":
        pass
    ctypedef struct Section:
        const uint8_t *p
        size_t n
    enum: N_SECTIONS, TZ_OK, TZ_NO_MEMORY, TZ_CORRUPT, TZ_LIMIT, TZ_ENOUGH, N_COLUMNS
    Preset *preset_new(const uint8_t *packed, size_t n, uint64_t seed)
    CEncoder *encoder_new(const Preset *preset, uint32_t threshold, uint32_t level, const CEncoder *of_same_stream, uint32_t halvings)
    void encoder_trim(CEncoder *e)
    void encoder_free(CEncoder *e)
    size_t encoder_held(const CEncoder *e)
    uint64_t encoder_weight(const CEncoder *e)
    int encoder_reset(CEncoder *e, const CEncoder *like)
    int encoder_add(CEncoder *e, const uint8_t *p, size_t n, const uint8_t *prefix, size_t prefix_n, uint64_t skip, uint32_t more, uint64_t most_spans, int *added)
    int encoder_plan_ids(CEncoder *e)
    int encoder_encode(CEncoder *e, Section *sections)
    Batch *encoder_batch(CEncoder *e)
    RowReader encoder_rows(CEncoder *e)
    void encoder_counts(const CEncoder *e, uint64_t *counts)
    ctypedef struct Pair:
        pass
    ctypedef struct Pairs:
        const Pair *v
        size_t n
    ctypedef struct Failure:
        pass
    ctypedef struct Failures:
        const Failure *v
        size_t n
    ctypedef struct CSummary "Summary":
        uint32_t is_unknown, is_vague
        uint64_t min_start, max_end, min_duration, max_duration
        Pairs pairs
        Failures failures
        U32s strings, last_row
        U64s trace_hash
    ctypedef struct String:
        const uint8_t *p
        uint32_t n
    int encoder_summarize(CEncoder *e, const CSummary **summary)
    const String *encoder_summary_string(const CEncoder *e, uint32_t number)

cdef extern from "decode.h" nogil:
    ctypedef struct CDecoder "Decoder":
        pass
    ctypedef struct Input:
        const uint8_t *p
        size_t n
    CDecoder *decoder_new(const Preset *preset)
    void decoder_free(CDecoder *d)
    size_t decoder_held(const CDecoder *d)
    int decoder_reset(CDecoder *d, const CDecoder *like)
    ctypedef struct Skips:
        uint32_t skips
        const FieldName *asked
        size_t n_asked
    int decoder_read(
        CDecoder *d, const Input *sections, uint64_t n_bytes, uint64_t most_spans, Skips skips, const char **where)
    uint32_t decoder_skipped(const CDecoder *d)
    int decoder_is_sure(const CDecoder *d)
    int decoder_measure(CDecoder *d, const char **where)
    int decoder_write(CDecoder *d, uint8_t *const *to, const char **where)
    size_t decoder_messages(const CDecoder *d)
    void decoder_message(const CDecoder *d, size_t i, uint64_t *n_bytes, int *more)
    void decoder_counts(const CDecoder *d, uint64_t *counts)
    Batch *decoder_batch(CDecoder *d)
    RowReader decoder_rows(CDecoder *d)

cdef extern from "count.h" nogil:
    uint64_t c_count_spans "count_spans" (const uint8_t *p, size_t n, uint32_t level)
    size_t c_other_fields "other_fields" (const uint8_t *p, size_t n, uint64_t tag, uint64_t *places, size_t most)
    size_t c_run_end "run_end" (const uint8_t *p, size_t n, size_t most)

cdef extern from "filter.h" nogil:
    ctypedef struct FilterBits:
        uint32_t high_bits, low_bits, place_bits
    enum: FILTER_HIGH_BITS, FILTER_LOW_BITS, FILTER_PLACE_BITS
    int filter_keys(const FilterBits *b, const uint64_t *hash, const uint32_t *row, size_t n, uint64_t before, uint64_t n_spans, uint64_t *keys)
    size_t filter_sort(const FilterBits *b, uint64_t *keys, uint64_t *room, size_t n)
    size_t filter_size(const FilterBits *b, size_t n_keys)
    void filter_write(const FilterBits *b, const uint64_t *keys, size_t n, uint8_t *to)
    uint32_t filter_find(const FilterBits *b, const uint8_t *p, size_t n, uint64_t n_keys, uint64_t hash)

cdef extern from "state_counts.h" nogil:
    enum: N_COUNTS, COUNT_ROWS, COUNT_SPANS, COUNT_MESSAGES

cdef extern from "find_generators.h" nogil:
    ctypedef struct CV8 "V8":
        uint64_t s0, s1
    ctypedef union CWords:
        uint32_t mt[624]
        uint64_t go[607]
    ctypedef struct GeneratorState:
        uint8_t kind
        uint32_t thread
        uint64_t seed, skip
        CV8 v8
        CWords words
    enum: GENERATOR_SPLITMIX, GENERATOR_MT19937, GENERATOR_GO_READ, GENERATOR_GO_INT63, GENERATOR_MT19937_BYTES
    ctypedef struct CFound "Found":
        uint32_t generator
        uint64_t position
    ctypedef struct FoundRows:
        CFound *v
    const uint32_t NO_GENERATOR
    ctypedef struct IdRows:
        const uint64_t *id
        const uint64_t *parent
        const uint64_t *hi
        const uint64_t *lo
        const uint64_t *start
        const uint32_t *resource
        size_t n
    ctypedef struct CFinder "Finder":
        FoundRows own, parent, trace
    void finder_init(CFinder *f, uint32_t level, uint32_t halvings)
    void finder_free(CFinder *f)
    int finder_try(CFinder *f, const IdRows *rows)
    uint32_t finder_resource(const CFinder *f, uint32_t generator)
    uint64_t finder_origin(CFinder *f, uint32_t generator, uint64_t position, GeneratorState *state)

MAX_HALVINGS = 8
COUNTS = ("rows", "spans", "messages", "traces", "paths", "schemas", "strings", "atoms", "contexts")


def count_spans(const uint8_t[::1] data not None, uint32_t level):
    """The spans in the fields of a message (level 0), a ResourceSpans (1) or a ScopeSpans (2); never too few."""
    cdef size_t n = data.shape[0]
    cdef uint64_t count
    if level > 2:
        raise ValueError(f"level is {level}, there are 0, 1 and 2")
    if n == 0:
        return 0
    with nogil:
        count = c_count_spans(&data[0], n, level)
    return count


def other_fields(const uint8_t[::1] data not None, uint64_t tag, size_t most):
    """Start and end of each field that has not this tag; None if there are more than `most`, at most 1,024."""
    cdef uint64_t places[2048]
    cdef size_t n = data.shape[0], found
    if most > 1024:
        raise ValueError(f"most is {most}, the limit is 1024")
    if n == 0:
        return []
    with nogil:
        found = c_other_fields(&data[0], n, tag, places, most)
    return None if found > most else [(places[2 * i], places[2 * i + 1]) for i in range(found)]


def run_end(const uint8_t[::1] data not None, size_t at, size_t most):
    """The end of the run of whole fields that begins at `at`: `most` bytes at most, or one field that is larger."""
    cdef size_t n = data.shape[0], n_run
    if at >= n:
        return at
    with nogil:
        n_run = c_run_end(&data[at], n - at, most)
    return at + n_run


def find_in_filter(
    const uint8_t[::1] data not None, uint64_t n_entries, uint32_t high_bits, uint32_t low_bits, uint32_t place_bits,
    uint64_t hash,
):
    """The place of a hash, + 1; 0 if it is not there."""
    cdef FilterBits bits = FilterBits(high_bits, low_bits, place_bits)
    if high_bits > FILTER_HIGH_BITS or low_bits > FILTER_LOW_BITS or place_bits > FILTER_PLACE_BITS:
        raise ValueError("a filter of trace ids has more bits than it may")
    return filter_find(&bits, &data[0], data.shape[0], n_entries, hash) if data.shape[0] else 0


def make_filter(list blocks not None, uint64_t n_spans, uint32_t high_bits, uint32_t low_bits, uint32_t place_bits):
    """The number of entries of a filter, and the filter: of the trace ids of blocks, each with the spans before it."""
    cdef FilterBits bits = FilterBits(high_bits, low_bits, place_bits)
    cdef size_t n_most = 0, n = 0, n_block
    cdef uint64_t *keys
    cdef bytes hashes, rows
    if high_bits > FILTER_HIGH_BITS or low_bits > FILTER_LOW_BITS or place_bits > FILTER_PLACE_BITS:
        raise ValueError("a filter of trace ids has more bits than it may")
    for _, hashes, rows in blocks:
        if len(hashes) != len(rows) * 2:
            raise ValueError("there is not one row for each hash")
        n_most += len(hashes) // 8
    keys = <uint64_t *>malloc((2 * n_most + 1) * sizeof(uint64_t))
    try:
        if keys == NULL:
            raise MemoryError("no memory for a filter")
        for before, hashes, rows in blocks:
            n_block = len(hashes) // 8
            if not filter_keys(
                &bits, <const uint64_t *>PyBytes_AS_STRING(hashes), <const uint32_t *>PyBytes_AS_STRING(rows), n_block,
                before, n_spans, keys + n,
            ):
                raise ValueError(f"a block names a span that is none of {n_spans}")
            n += n_block
        n = filter_sort(&bits, keys, keys + n_most, n)
        data = PyBytes_FromStringAndSize(NULL, filter_size(&bits, n))
        filter_write(&bits, keys, n, <uint8_t *>PyBytes_AS_STRING(data))
        return n, data
    finally:
        free(keys)


cdef class _Preset:
    """Preset strings, packed once for the process; never freed, for encoders point into them."""
    cdef Preset *c


cdef object _last_strings = None
cdef _Preset _last_preset = None
cdef uint64_t _seed = int.from_bytes(os.urandom(8), "little")


cdef _Preset _preset(object strings):
    """The table of these strings. Hash tables are seeded once for the process; nothing written depends on the seed."""
    global _last_strings, _last_preset
    cdef bytes packed
    cdef _Preset preset
    if strings is not _last_strings:
        packed = b"".join([pack_varint(len(text)) + text for text in strings])
        preset = _Preset.__new__(_Preset)
        preset.c = preset_new(<const uint8_t *>PyBytes_AS_STRING(packed), len(packed), _seed)
        if preset.c == NULL:
            raise MemoryError("no memory for the preset strings")
        _last_strings, _last_preset = strings, preset
    return _last_preset


cdef object _fail(int code, const char *where):
    if code == TZ_NO_MEMORY:
        return MemoryError("no memory for a block")
    name = where.decode("ascii") if where != NULL else "?"
    if code == TZ_LIMIT:
        return section_beyond_limits(name)
    return damaged_section(name)


cdef dict _counted(const uint64_t *counts):
    return {name: counts[i] for i, name in enumerate(COUNTS)}


cdef bytes _wide(const U64s *c):
    return PyBytes_FromStringAndSize(<const char *>c.v, c.n * 8)


cdef bytes _narrow(const U32s *c):
    return PyBytes_FromStringAndSize(<const char *>c.v, c.n * 4)


COLUMNS = (
    "trace_hi", "trace_lo", "span_id", "parent_id", "start", "end", "event_time", "n_scopes", "n_spans", "n_events",
    "n_links",
)


cdef bytes _column(const Batch *b, str name):
    """A column's values as native-endian bytes: uint32 of those that begin with `n_`, else uint64."""
    if name == "trace_hi": return _wide(&b.trace_hi)
    if name == "trace_lo": return _wide(&b.trace_lo)
    if name == "span_id": return _wide(&b.span_id)
    if name == "parent_id": return _wide(&b.parent_id)
    if name == "start": return _wide(&b.start)
    if name == "end": return _wide(&b.end)
    if name == "event_time": return _wide(&b.event_time)
    if name == "n_scopes": return _narrow(&b.n_scopes)
    if name == "n_spans": return _narrow(&b.n_spans)
    if name == "n_events": return _narrow(&b.n_events)
    if name == "n_links": return _narrow(&b.n_links)
    raise ValueError(f"there is no column {name!r}")


cdef bytes _grown(list begun, size_t n_more):
    """What stands in `begun`, which is taken out, with room behind it; nobody else may see it grow in place."""
    cdef bytes old = begun.pop() if begun else b"", new
    cdef size_t n = PyBytes_GET_SIZE(old)
    cdef PyObject *moved = <PyObject *>old
    if n < 2 or Py_REFCNT(old) != 1:  # Python shares those of no or one byte
        new = PyBytes_FromStringAndSize(NULL, n + n_more)
        memcpy(PyBytes_AS_STRING(new), PyBytes_AS_STRING(old), n)
        return new
    Py_INCREF(old)
    old = None
    _PyBytes_Resize(&moved, n + n_more)
    new = <bytes>moved
    Py_DECREF(new)
    return new


cdef FieldName _field_name(uint32_t place, uint32_t tag, bytes key) except *:
    """`key` must outlive it."""
    if place >= N_PLACES:
        raise ValueError(f"place is {place}, there are {N_PLACES}")
    if key is None:
        return FieldName(place, tag, NULL, 0)
    return FieldName(place, tag, <const uint8_t *>PyBytes_AS_STRING(key), len(key))


cdef class _Rows:
    """What a query takes of the records that an encoder has pending, or that a decoder has read."""

    cdef RowReader _rows(self) except *:
        raise NotImplementedError  # Cython has no abstract methods: Encoder and Decoder have their own

    cdef _check(self, int code, const char *where):
        raise NotImplementedError  # likewise

    cdef _whole(self):
        """Raises UsageError if some of the records was left out."""

    def columns(self, names=COLUMNS):
        cdef RowReader r = self._rows()
        return {name: _column(r.b, name) for name in names}

    def fields(self, uint32_t place, uint32_t tag, bytes key=None):
        cdef RowReader r = self._rows()
        cdef FieldName f = _field_name(place, tag, key)
        cdef int code
        cdef uint32_t *to
        out = PyBytes_FromStringAndSize(NULL, rows_of(&r, place) * 4)
        to = <uint32_t *>PyBytes_AS_STRING(out)
        with nogil:
            code = rows_field(&r, &f, to)
        if code == TZ_ENOUGH:
            return None
        self._check(code, b"memory")
        return out

    def atoms(self, const uint32_t[::1] numbers not None):
        cdef RowReader r = self._rows()
        cdef const uint8_t *p = NULL
        cdef size_t n = 0, i
        out = []
        for i in range(<size_t>numbers.shape[0]):
            rows_atom(&r, numbers[i] - 1, &p, &n)
            if p == NULL:
                raise IndexError(f"there is no field {numbers[i]}")
            out.append(PyBytes_FromStringAndSize(<const char *>p, n))
        return out

    def records(self, uint32_t kind, const uint32_t[::1] rows not None):
        cdef RowReader r = self._rows()
        cdef size_t n = rows.shape[0], i
        self._whole()
        if kind > 2:
            raise ValueError(f"kind is {kind}; there are 0, 1 and 2")
        for i in range(n):
            if rows[i] >= rows_of(&r, kind) or (i and rows[i] <= rows[i - 1]):
                raise IndexError(f"row {rows[i]} is not there, or does not ascend")
        return self._records(&r, kind, &rows[0], n) if n else []

    cdef list _records(self, const RowReader *r, uint32_t kind, const uint32_t *rows, size_t n):
        cdef uint64_t *sizes = <uint64_t *>malloc(n * sizeof(uint64_t))
        cdef uint8_t **to = <uint8_t **>malloc(n * sizeof(uint8_t *))
        cdef size_t i
        cdef int code
        try:
            if sizes == NULL or to == NULL:
                raise MemoryError("no memory for records")
            with nogil:
                code = rows_measure(r, kind, rows, n, sizes)
            self._check(code, b"size")
            out = [PyBytes_FromStringAndSize(NULL, sizes[i]) for i in range(n)]
            for i in range(n):
                to[i] = <uint8_t *>PyBytes_AS_STRING(out[i])
            with nogil:
                code = rows_write(r, kind, rows, n, to)
            self._check(code, b"size")
            return out
        finally:
            free(sizes)
            free(to)


cdef class Encoder(_Rows):
    """Messages of OTLP protobuf to the sections of blocks; its dictionaries live until `reset`.

    preset: the preset strings. dictionary_threshold: how often a string is seen before it is remembered.
    level: 1 (fastest) to 9 (smallest). of_same_stream: another encoder, with which it shares what is known of ids.
    halvings: how often the tables for finding generators of ids are halved.
    """
    cdef CEncoder *_c
    cdef _Preset _strings
    cdef Encoder _like  # what this one knows may stand in the memory of that one

    def __cinit__(self, preset, uint32_t dictionary_threshold, uint32_t level, Encoder of_same_stream=None, uint32_t halvings=0):
        if halvings > MAX_HALVINGS:
            raise ValueError(f"halvings is {halvings}, the limit is {MAX_HALVINGS}")
        self._strings = _preset(preset)
        if of_same_stream is not None:
            of_same_stream._alive()
        self._c = encoder_new(
            self._strings.c, dictionary_threshold, level, NULL if of_same_stream is None else of_same_stream._c, halvings
        )
        if self._c == NULL:
            raise MemoryError("no memory for an encoder")

    def __dealloc__(self):
        encoder_free(self._c)

    cdef _check(self, int code, const char *where):
        if code == TZ_OK:
            return
        encoder_free(self._c)
        self._c = NULL
        raise _fail(code, where)

    cdef _alive(self):
        if self._c == NULL:
            raise UsageError("this encoder has failed before; make a new one")

    def add(
        self,
        const uint8_t[::1] message not None,
        bytes prefix not None=b"",
        uint64_t skip=0,
        bint continues=False,
        uint64_t most_spans=sys.maxsize,
    ):
        self._alive()
        cdef const uint8_t *p = &message[0] if message.shape[0] else NULL
        cdef size_t n = message.shape[0], prefix_n = len(prefix)
        cdef const uint8_t *q = <const uint8_t *>PyBytes_AS_STRING(prefix)
        cdef int code, added = 0
        if skip > n:
            raise ValueError(f"skip is {skip}, the message has {n} bytes")
        with nogil:
            code = encoder_add(self._c, p, n, q, prefix_n, skip, continues, most_spans, &added)
        self._check(code, NULL)
        return added != 0

    def plan_ids(self):
        self._alive()
        cdef int code
        with nogil:
            code = encoder_plan_ids(self._c)
        self._check(code, NULL)

    def encode(self):
        self._alive()
        cdef Section sections[N_SECTIONS]
        cdef int code
        with nogil:
            code = encoder_encode(self._c, sections)
        self._check(code, NULL)
        return tuple([PyBytes_FromStringAndSize(<const char *>sections[i].p, sections[i].n) for i in range(N_SECTIONS)])

    def summary(self):
        self._alive()
        cdef const CSummary *s = NULL
        cdef const String *string
        cdef int code
        with nogil:
            code = encoder_summarize(self._c, &s)
        self._check(code, NULL)
        if s.is_unknown:
            return None
        strings = []
        for i in range(s.strings.n):
            string = encoder_summary_string(self._c, i)
            strings.append(PyBytes_FromStringAndSize(<const char *>string.p, string.n))
        return (
            (s.min_start, s.max_end, s.min_duration, s.max_duration),
            strings,
            PyBytes_FromStringAndSize(<const char *>s.pairs.v, s.pairs.n * sizeof(Pair)),
            _wide(&s.trace_hash),
            _narrow(&s.last_row),
            None if s.is_vague else PyBytes_FromStringAndSize(
                <const char *>s.failures.v, s.failures.n * sizeof(Failure)
            ),
        )

    def trim(self):
        self._alive()
        encoder_trim(self._c)
        self._check(encoder_reset(self._c, NULL), NULL)
        self._like = None

    def reset(self, Encoder like=None):
        self._alive()
        if like is not None:
            like._alive()
            if like._strings is not self._strings:
                raise ValueError("an encoder can only begin like one with the same preset strings")
        self._check(encoder_reset(self._c, NULL if like is None else like._c), NULL)
        self._like = like

    cdef uint64_t _count(self, int which) except? 0:
        cdef uint64_t counts[N_COUNTS]
        self._alive()
        encoder_counts(self._c, counts)
        return counts[which]

    @property
    def n_rows(self):
        return self._count(COUNT_ROWS)

    @property
    def n_spans(self):
        return self._count(COUNT_SPANS)

    @property
    def n_messages(self):
        return self._count(COUNT_MESSAGES)

    @property
    def memory(self):
        self._alive()
        return encoder_held(self._c)

    @property
    def weight(self):
        self._alive()
        return encoder_weight(self._c)

    cdef RowReader _rows(self) except *:
        self._alive()
        return encoder_rows(self._c)

    def span(self, size_t row):
        """A pending span as it was added: one OTLP Span message."""
        return self.records(2, array("I", [row]))[0]

    def statistics(self):
        cdef uint64_t counts[N_COUNTS]
        self._alive()
        encoder_counts(self._c, counts)
        return _counted(counts)


cdef class Decoder(_Rows):
    """The sections of blocks to messages; its dictionaries live until `reset`."""
    cdef CDecoder *_c
    cdef _Preset _strings
    cdef bint _is_partial, _is_fresh
    cdef readonly uint32_t skipped
    cdef Decoder _like  # what this one knows may stand in the memory of that one

    def __cinit__(self, preset):
        self._strings = _preset(preset)
        self._begin()

    cdef _begin(self):
        self._c = decoder_new(self._strings.c)
        self._is_fresh = True
        if self._c == NULL:
            raise MemoryError("no memory for a decoder")

    def __dealloc__(self):
        decoder_free(self._c)

    cdef _check(self, int code, const char *where):
        if code == TZ_OK:
            return
        decoder_free(self._c)
        self._c = NULL
        raise _fail(code, where)

    def decode(self, sections, uint64_t n_bytes):
        self.read(sections, n_bytes)
        return self.parts()

    def decode_messages(self, sections, uint64_t n_bytes, list begun not None):
        self.read(sections, n_bytes)
        self._measure()
        return self._messages(begun)

    cdef _alive(self):
        if self._c == NULL:
            raise UsageError("this decoder has failed before; reset it")

    @property
    def memory(self):
        self._alive()
        return decoder_held(self._c)

    cdef RowReader _rows(self) except *:
        self._alive()
        return decoder_rows(self._c)

    cdef _whole(self):
        if self.skipped:
            raise UsageError("this decoder has left out what records have; reset it")

    def read(self, sections, uint64_t n_bytes, uint64_t most_spans=sys.maxsize, uint32_t skips=0, asked=()):
        if not skips or not self._is_fresh:
            self._read(sections, n_bytes, most_spans, Skips(0, NULL, 0))
            return
        cdef FieldName *names = <FieldName *>malloc((len(asked) + 1) * sizeof(FieldName))
        try:
            if names == NULL:
                raise MemoryError("no memory for names of fields")
            for i, (place, tag, key) in enumerate(asked):
                names[i] = _field_name(place, tag, key)
            self._read(sections, n_bytes, most_spans, Skips(skips, names, len(asked)))
        finally:
            free(names)

    cdef _read(self, sections, uint64_t n_bytes, uint64_t most_spans, Skips skips):
        cdef Input inputs[N_SECTIONS]
        cdef const uint8_t[::1] view
        cdef const char *where = NULL
        cdef int code, i
        self._alive()
        if self._is_partial:
            raise UsageError("this decoder has left a block unread; reset it")
        if len(sections) != N_SECTIONS:
            raise ValueError(f"a block has {N_SECTIONS} sections, not {len(sections)}")
        held = []
        for i in range(N_SECTIONS):
            view = sections[i]
            held.append(view)
            inputs[i].p = &view[0] if view.shape[0] else <const uint8_t *>b""
            inputs[i].n = view.shape[0]
        self._is_fresh = False
        with nogil:
            code = decoder_read(self._c, inputs, n_bytes, most_spans, skips, &where)
        if skips.skips and not (code == TZ_OK and decoder_is_sure(self._c)):
            decoder_free(self._c)
            self._c = NULL
            self.reset(self._like)
            self._read(sections, n_bytes, most_spans, Skips(0, NULL, 0))
            return
        self._check(code, where)
        self.skipped = decoder_skipped(self._c)
        self._is_partial = self.skipped or decoder_batch(self._c).span_id.n >= most_spans

    cdef uint8_t **_places(self) except NULL:
        cdef uint8_t **to = <uint8_t **>malloc((decoder_messages(self._c) + 1) * sizeof(uint8_t *))
        if to == NULL:
            raise MemoryError("no memory for a block")
        return to

    cdef _write(self, uint8_t **to):
        cdef const char *where = NULL
        cdef int code
        with nogil:
            code = decoder_write(self._c, to, &where)
        self._check(code, where)

    cdef _measure(self):
        cdef const char *where = NULL
        cdef int code
        self._alive()
        if self._is_partial:
            raise UsageError("this decoder has left a block unread, and has no messages of it")
        with nogil:
            code = decoder_measure(self._c, &where)
        self._check(code, where)

    def parts(self):
        self._measure()
        cdef size_t n = decoder_messages(self._c), i
        cdef uint64_t size = 0
        cdef int more = 0
        cdef uint8_t **to = self._places()
        try:
            parts, continues = [], []
            for i in range(n):
                decoder_message(self._c, i, &size, &more)
                part = PyBytes_FromStringAndSize(NULL, size)
                to[i] = <uint8_t *>PyBytes_AS_STRING(part)
                parts.append(part)
                continues.append(more != 0)
            self._write(to)
        finally:
            free(to)
        return parts, continues

    cdef _messages(self, list begun):
        """The parts that were read, those of a message in one piece; how many there are; whether the last goes on."""
        cdef size_t n = decoder_messages(self._c), i = 0, first
        cdef uint64_t size = 0, total
        cdef int more = 0
        cdef uint8_t *at
        cdef bytes message
        cdef uint8_t **to = self._places()
        try:
            messages = []
            while i < n:
                first, total, more = i, 0, 1
                while more and i < n:
                    decoder_message(self._c, i, &size, &more)
                    total += size
                    i += 1
                message = _grown(begun, total)
                at = <uint8_t *>PyBytes_AS_STRING(message) + PyBytes_GET_SIZE(message) - total
                messages.append(message)
                for k in range(first, i):
                    to[k] = at
                    decoder_message(self._c, k, &size, &more)
                    at += size
            self._write(to)
        finally:
            free(to)
        return messages, n, more != 0

    def outline(self):
        self._alive()
        cdef Batch *b = decoder_batch(self._c)
        cdef size_t n = b.messages.n, i
        numbers, flags = array("I", bytes(4 * n)), bytearray(n)
        cdef uint32_t[::1] to = numbers
        cdef uint8_t[::1] of = flags
        for i in range(n):
            to[i] = b.messages.v[i].n_resources
            of[i] = (b.messages.v[i].prefix_n != 0 or b.messages.v[i].skip != 0) | b.messages.v[i].continues << 1
        return numbers.tobytes(), bytes(flags)

    def reset(self, Decoder like=None):
        self._is_partial, self._is_fresh, self.skipped = False, True, 0
        if like is not None:
            like._alive()
            if like._strings is not self._strings:
                raise ValueError("a decoder can only begin like one with the same preset strings")
        if self._c == NULL:
            self._begin()
        self._check(decoder_reset(self._c, NULL if like is None else like._c), b"memory")
        self._like = like

    def statistics(self):
        cdef uint64_t counts[N_COUNTS]
        self._alive()
        decoder_counts(self._c, counts)
        return _counted(counts)


cdef list _found(const CFound *found, size_t n):
    return [(found[i].generator, found[i].position) if found[i].generator != NO_GENERATOR else None for i in range(n)]


cdef class Finder:
    """Which ids come out of which generator, as an encoder looks; only tests use it by itself."""
    cdef CFinder _c
    cdef bint _failed

    def __cinit__(self, uint32_t level, uint32_t halvings=0):
        finder_init(&self._c, level, halvings)

    def __dealloc__(self):
        finder_free(&self._c)

    def block(self, ids, parents, his, los, starts, resources):
        columns = [array("Q", column) for column in (ids, parents, his, los, starts)]
        cdef const uint64_t[::1] i = columns[0], p = columns[1], h = columns[2], l = columns[3], s = columns[4]
        numbers = array("I", resources)
        cdef const uint32_t[::1] r = numbers
        cdef IdRows rows
        cdef int code
        n = len(numbers)
        rows.n = n
        if any([len(column) != n for column in columns]):
            raise ValueError("the columns differ in length")
        if self._failed:
            raise UsageError("this finder has failed before; make a new one")
        if rows.n:
            rows.id, rows.parent, rows.hi, rows.lo, rows.start, rows.resource = &i[0], &p[0], &h[0], &l[0], &s[0], &r[0]
        with nogil:
            code = finder_try(&self._c, &rows)
        if code != TZ_OK:
            self._failed = True
            raise _fail(code, NULL)
        return (
            _found(self._c.own.v, rows.n), _found(self._c.parent.v, rows.n), _found(self._c.trace.v, rows.n)
        )

    def resource(self, uint32_t generator):
        return finder_resource(&self._c, generator)

    def origin(self, uint32_t generator, uint64_t position):
        """Where a reader counts from, the kind of the generator, and its parameters there."""
        cdef GeneratorState state
        origin = finder_origin(&self._c, generator, position, &state)
        if state.kind == GENERATOR_SPLITMIX:
            return origin, state.kind, (state.seed, state.thread)
        if state.kind in (GENERATOR_MT19937, GENERATOR_MT19937_BYTES):
            return origin, state.kind, tuple([state.words.mt[i] for i in range(624)])
        if state.kind in (GENERATOR_GO_READ, GENERATOR_GO_INT63):
            return origin, state.kind, (state.seed, state.skip, *[state.words.go[i] for i in range(607)])
        return origin, state.kind, (state.v8.s0, state.v8.s1)
