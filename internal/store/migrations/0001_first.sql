-- What a table is searched by has a column; the rest is the record as JSON.

CREATE TABLE vms (
    id     TEXT PRIMARY KEY,
    name   TEXT NOT NULL UNIQUE,
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE images (
    id     TEXT PRIMARY KEY,
    name   TEXT NOT NULL UNIQUE,
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE operations (
    num    INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of begin
    id     TEXT NOT NULL UNIQUE,
    kind   TEXT NOT NULL,
    key    TEXT NOT NULL,                     -- idempotency key or ''
    ended  INTEGER NOT NULL,                  -- nanoseconds since 1970, 0 while it runs
    record TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX operations_by_key ON operations (kind, key) WHERE key <> '';
CREATE INDEX operations_by_end ON operations (ended);

CREATE TABLE events (
    seq     INTEGER PRIMARY KEY,
    time    INTEGER NOT NULL, -- nanoseconds since 1970
    type    TEXT NOT NULL,
    target  TEXT NOT NULL,
    name    TEXT NOT NULL,
    message TEXT NOT NULL,
    data    TEXT              -- JSON
) STRICT;

CREATE INDEX events_by_target ON events (target, seq);

CREATE TABLE event_mark (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    reserved INTEGER NOT NULL,
    gap      INTEGER NOT NULL,
    clean    INTEGER NOT NULL
) STRICT;

INSERT INTO event_mark VALUES (1, 0, 0, 1);
