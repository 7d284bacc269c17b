"""The limits and defaults of everything that sends and receives; PROTOCOL.md gives those of the protocol."""

from __future__ import annotations

MAX_BODY_BYTES = 20 << 20
"""Of a request, as it comes over the wire."""
MAX_DECODED_BYTES = 64 << 20
"""Of the message in a request."""
MAX_ANSWER_BYTES = 64 << 10
"""Of an answer; a client reads no further."""
MAX_REASON_CHARS = 1024
"""Of a text that goes into an answer or comes out of one."""

MAX_STREAMS = 256
"""That a server remembers at a time."""
MAX_STREAM_MEMORY_BYTES = 1 << 30
"""Of all streams that a server remembers."""
MAX_SHARE_OF_STREAM = 0.25
"""Of that memory; a stream that holds more is forgotten, so that it does not push all others out."""
N_DECODING = 8
"""Messages that are decoded at a time: only then it is known what they take."""
IDLE_SECONDS = 600.0
"""A stream that was not used for so long is forgotten."""
N_REMEMBERED_ANSWERS = 16
"""Of each stream, for requests that come again."""
MAX_REQUESTS_OF_STREAM = 4
"""At a time: one is worked on, the others wait for it."""
BUSY_SECONDS = 1.0
"""After which a client may ask again when there is no room."""

MAX_RESTARTS = 3
"""Of the same message, before it goes as plain OTLP."""
PROBE_SECONDS = 600.0
"""Between two attempts to speak the protocol with a server that does not know it."""
MAX_OTLP_BYTES = (20 << 20) - (64 << 10)
"""Of a plain OTLP request before it is compressed; receivers often take 20 MiB."""
REQUEST_SECONDS = 10.0
"""The default for one request, as in other OTLP exporters."""

MIN_BACKOFF_SECONDS = 1.0
MAX_BACKOFF_SECONDS = 30.0
MIN_PAUSE_SECONDS = 0.1
"""Before a message is sent again, also where the server says that it need not wait."""
MAX_RETRY_AFTER_SECONDS = 600.0
"""What a server asks for is believed up to here."""

# --- keeping ----------------------------------------------------------------------------------------------------------

QUEUE_BYTES = 64 << 20
"""Of the messages that wait in memory."""
MAX_BROKEN_ATTEMPTS = 5
"""In a row to send the same message that end in an error which nobody foresaw, before others go first; without a spool
it is dropped then."""
COMPLAINT_SECONDS = 60.0
"""The same trouble is logged once in so long."""
SPOOL_BYTES = 512 << 20
"""On disk, of one process, and of all that are gone."""
SEGMENT_BYTES = 4 << 20
"""A file of a spool is ended once it is so large."""
MAX_OPEN_ARCHIVES = 64
"""At a time; the one not written to for longest is ended when there would be more."""

# --- sending archives -------------------------------------------------------------------------------------------------

REPLAY_REQUEST_SECONDS = 30.0
"""For one request when an archive is sent: nobody waits for it, and a large one takes its time."""
REPLAY_PATIENCE_SECONDS = 60.0
"""For which such a message is sent again and again."""
PAUSE_SECONDS = 3600.0
"""Before a message is due; one that would be later is sent at once."""
MAX_GAP_SECONDS = 86400.0
"""Between messages of an archive, when it is looked for its last time: a single one that is farther away is wrong."""
MAX_PAUSE_SECONDS = 366 * 86400.0
"""Before a message is due; no clock takes the pauses that a wrong time may ask for."""
