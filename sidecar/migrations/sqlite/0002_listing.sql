-- Lists one kind of entries in the order of their ids, at any size of the log.
PRAGMA user_version = 2;

-- Nearly all of the entries of two channels are of one kind each (1 DeployAccepted, 5 FinalitySignature), which
-- `entry_by_channel` finds as well. Without them this index has a small part of the log, and costs as little.
CREATE INDEX entry_by_kind ON entry (kind) WHERE kind NOT IN (1, 5);
