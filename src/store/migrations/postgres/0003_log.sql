-- The log: entries as they were written with the changes that they record. One that is not in the tree yet has the place -1.
CREATE TABLE log_entries (
  seq       BIGSERIAL PRIMARY KEY,
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
  bytes BYTEA NOT NULL
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

-- Usage journals, as far as they came in.
CREATE TABLE usage_journals (
  journal TEXT   PRIMARY KEY NOT NULL,
  holder  TEXT   NOT NULL,
  records BIGINT NOT NULL,
  head    TEXT   NOT NULL
);
CREATE INDEX usage_journals_holder ON usage_journals (holder);

-- Generations, by which histories are scored: when each began, and how many tokens came out.
CREATE TABLE usage_generations (
  place      TEXT   PRIMARY KEY NOT NULL,
  holder     TEXT   NOT NULL,
  checkpoint TEXT   NOT NULL,
  at         BIGINT NOT NULL,
  tokens     BIGINT NOT NULL,
  sketch     TEXT   NOT NULL
);
CREATE INDEX usage_generations_holder ON usage_generations (holder, at);
CREATE INDEX usage_generations_checkpoint ON usage_generations (checkpoint, at);
-- Statements of a kind, whichever checkpoint they are of, for those who audit all.
CREATE INDEX statements_of_kind ON statements (kind, seq);
