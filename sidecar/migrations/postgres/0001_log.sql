-- The log, and what is kept beside it, in a schema of its own. People with psql will like the view `event`.

-- API versions and senders repeat in every entry: an entry holds their numbers. Both are only ever added to.
CREATE TABLE casper_sidecar.api_version (
    id integer PRIMARY KEY,
    json text NOT NULL UNIQUE -- the whole message, as a node sent it
);

CREATE TABLE casper_sidecar.source (
    id integer PRIMARY KEY,
    name text NOT NULL UNIQUE -- host:sse_port of a node, or `sidecar`
);

CREATE TABLE casper_sidecar.entry (
    id bigint PRIMARY KEY, -- the place in the log: dense, rising, never used twice
    received_at bigint NOT NULL, -- milliseconds since the Unix epoch
    version integer, -- in api_version
    source integer NOT NULL, -- in source
    large integer, -- length of the JSON in bytes if it is in `entry_part`
    channel smallint NOT NULL,
    kind smallint NOT NULL,
    identity bytea NOT NULL, -- what makes two events of two nodes the same event
    key bytea, -- what look-ups find it under; a block's is its height
    data bytea -- the JSON otherwise; not text, so that lengths and offsets are in bytes
);

-- To compress costs more time than all the rest of an insert, and would be undone for each reader.
ALTER TABLE casper_sidecar.entry ALTER COLUMN data SET STORAGE EXTERNAL;

-- Drops duplicates, and finds blocks, deploys and steps by what names them.
CREATE UNIQUE INDEX entry_by_identity ON casper_sidecar.entry (identity);
-- Replays an endpoint that shows few of the entries.
CREATE INDEX entry_by_channel ON casper_sidecar.entry (channel, id);
-- Nearly all of the entries of two channels are of one kind each (1 DeployAccepted, 5 FinalitySignature), which
-- `entry_by_channel` finds as well. Without them this index has a small part of the log, and costs as little.
CREATE INDEX entry_by_kind ON casper_sidecar.entry (kind, id) WHERE kind NOT IN (1, 5);
CREATE INDEX entry_by_key ON casper_sidecar.entry (key) WHERE key IS NOT NULL;

-- The second and later keys of the few events that have them (faults).
CREATE TABLE casper_sidecar.further_key (
    key bytea NOT NULL,
    entry bigint NOT NULL,
    PRIMARY KEY (key, entry)
);

CREATE INDEX further_key_by_entry ON casper_sidecar.further_key (entry);

-- JSON of more than 64 KiB, in parts of 64 KiB: neither writing nor reading a Step of 30 MB holds it as a whole.
CREATE TABLE casper_sidecar.entry_part (
    entry bigint NOT NULL,
    number integer NOT NULL, -- from 0
    data bytea NOT NULL,
    PRIMARY KEY (entry, number)
);

ALTER TABLE casper_sidecar.entry_part ALTER COLUMN data SET STORAGE EXTERNAL;

-- The last message seen on one filter of one node. Rows that change often have room to change in place.
CREATE TABLE casper_sidecar.cursor (
    source integer NOT NULL,
    filter smallint NOT NULL,
    id bigint NOT NULL,
    fingerprint bytea NOT NULL,
    run bigint NOT NULL,
    resume bigint NOT NULL,
    PRIMARY KEY (source, filter)
) WITH (fillfactor = 30);

-- One row.
CREATE TABLE casper_sidecar.log (
    one boolean PRIMARY KEY CHECK (one),
    -- Of the one sidecar that may write: each that opens the log takes the next one. A sidecar that lost its
    -- session, and with it its lock, cannot write on once another has opened the log.
    epoch bigint NOT NULL,
    head bigint NOT NULL, -- id of the newest entry there ever was
    version integer, -- in force
    source integer, -- which set it
    chain text
) WITH (fillfactor = 30);

INSERT INTO casper_sidecar.log (one, epoch, head) VALUES (true, 0, 0);

-- Names instead of numbers, text instead of bytes.
CREATE VIEW casper_sidecar.event AS
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
    (SELECT json FROM casper_sidecar.api_version WHERE api_version.id = entry.version) AS api_version,
    (SELECT name FROM casper_sidecar.source WHERE source.id = entry.source) AS source,
    to_timestamp(entry.received_at / 1000.0) AS received_at,
    convert_from(
        coalesce(
            entry.data,
            (SELECT string_agg(part.data, ''::bytea ORDER BY part.number)
             FROM casper_sidecar.entry_part AS part WHERE part.entry = entry.id)
        ),
        'UTF8'
    ) AS data
FROM casper_sidecar.entry;
