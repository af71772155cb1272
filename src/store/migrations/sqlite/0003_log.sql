-- The log: entries as they were written with the changes that they record. One that is not in the tree yet has the place -1.
CREATE TABLE log_entries (
  seq       INTEGER PRIMARY KEY AUTOINCREMENT,
  kind      TEXT   NOT NULL,
  statement TEXT   NOT NULL,
  entry     TEXT   NOT NULL,
  place     BIGINT NOT NULL
);
CREATE INDEX log_entries_statement ON log_entries (statement, kind);
CREATE UNIQUE INDEX log_entries_place ON log_entries (place) WHERE place >= 0;
CREATE INDEX log_entries_waiting ON log_entries (seq) WHERE place < 0;

-- Tiles of hashes, each as wide as it is now, under <level>/<index>.
CREATE TABLE log_tiles (
  name  TEXT PRIMARY KEY NOT NULL,
  bytes BLOB NOT NULL
);

-- The head: the tree's size and root, the signed note, and the note that witnesses cosigned last.
CREATE TABLE log_head (
  one      BIGINT PRIMARY KEY NOT NULL CHECK (one = 1),
  size     BIGINT NOT NULL,
  root     TEXT   NOT NULL,
  note     TEXT   NOT NULL,
  cosigned TEXT   NOT NULL
);
INSERT INTO log_head (one, size, root, note, cosigned)
VALUES (1, 0, 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', '', '');
