-- The log, and what is kept beside it. People with the sqlite3 shell will like the view `event`.
PRAGMA user_version = 1;

-- API versions and senders repeat in every entry: an entry holds their numbers. Both are only ever added to.
CREATE TABLE api_version (
    id INTEGER PRIMARY KEY,
    json TEXT NOT NULL UNIQUE -- the whole message, as a node sent it
) STRICT;

CREATE TABLE source (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE -- host:sse_port of a node, or `sidecar`
) STRICT;

CREATE TABLE entry (
    id INTEGER PRIMARY KEY, -- the place in the log: dense, rising, never used twice
    channel INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    identity BLOB NOT NULL, -- what makes two events of two nodes the same event
    key BLOB, -- what look-ups find it under; a block's is its height
    version INTEGER REFERENCES api_version,
    source INTEGER NOT NULL REFERENCES source,
    received_at INTEGER NOT NULL, -- milliseconds since the Unix epoch
    large INTEGER, -- length of the JSON in bytes if it is in `entry_part`
    data BLOB -- the JSON otherwise; not TEXT, so that lengths and offsets are in bytes
) STRICT;

-- Drops duplicates, and finds blocks, deploys and steps by what names them.
CREATE UNIQUE INDEX entry_by_identity ON entry (identity);
-- Replays an endpoint that shows few of the entries. (An index ends with the id.)
CREATE INDEX entry_by_channel ON entry (channel);
CREATE INDEX entry_by_key ON entry (key) WHERE key IS NOT NULL;

-- The second and later keys of the few events that have them (faults).
CREATE TABLE further_key (
    key BLOB NOT NULL,
    entry INTEGER NOT NULL,
    PRIMARY KEY (key, entry)
) STRICT, WITHOUT ROWID;

CREATE INDEX further_key_by_entry ON further_key (entry);

-- JSON of more than 64 KiB, in parts of 64 KiB: neither writing nor reading a Step of 30 MB holds it as a whole.
CREATE TABLE entry_part (
    entry INTEGER NOT NULL,
    number INTEGER NOT NULL, -- from 0
    data BLOB NOT NULL,
    PRIMARY KEY (entry, number)
) STRICT, WITHOUT ROWID;

-- The last message seen on one filter of one node.
CREATE TABLE cursor (
    source INTEGER NOT NULL REFERENCES source,
    filter INTEGER NOT NULL,
    id INTEGER NOT NULL,
    fingerprint BLOB NOT NULL,
    run INTEGER NOT NULL,
    resume INTEGER NOT NULL,
    PRIMARY KEY (source, filter)
) STRICT, WITHOUT ROWID;

-- One row.
CREATE TABLE log (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    -- The newest id when entries were last forgotten: the head is this or the newest entry, whichever is greater.
    -- (To store the head with every batch would write one more page each time.)
    head INTEGER NOT NULL,
    version INTEGER REFERENCES api_version, -- in force
    source INTEGER REFERENCES source, -- which set it
    chain TEXT
) STRICT;

INSERT INTO log (one, head) VALUES (1, 0);

-- Names instead of numbers, text instead of blobs.
CREATE VIEW event AS
SELECT
    entry.id,
    CASE entry.channel
        WHEN 0 THEN 'main' WHEN 1 THEN 'deploys' WHEN 2 THEN 'sigs' WHEN 3 THEN 'sidecar'
    END AS endpoint,
    CASE entry.kind
        WHEN 0 THEN 'BlockAdded' WHEN 1 THEN 'DeployAccepted' WHEN 2 THEN 'DeployProcessed'
        WHEN 3 THEN 'DeployExpired' WHEN 4 THEN 'Fault' WHEN 5 THEN 'FinalitySignature'
        WHEN 6 THEN 'Step' WHEN 7 THEN 'Shutdown' ELSE 'Unknown'
    END AS kind,
    (SELECT json FROM api_version WHERE api_version.id = entry.version) AS api_version,
    (SELECT name FROM source WHERE source.id = entry.source) AS source,
    strftime('%Y-%m-%dT%H:%M:%fZ', entry.received_at / 1000.0, 'unixepoch') AS received_at,
    coalesce(
        CAST(entry.data AS TEXT),
        (SELECT CAST(group_concat(part.data, '') AS TEXT)
         FROM (SELECT data FROM entry_part WHERE entry_part.entry = entry.id ORDER BY number) AS part)
    ) AS data
FROM entry;
