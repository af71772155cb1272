-- Times are seconds since 1970; digests and key ids are lower-case hexadecimal.
CREATE TABLE statements (
  seq        BIGSERIAL PRIMARY KEY,
  digest     TEXT   NOT NULL,
  signer     TEXT   NOT NULL,
  kind       TEXT   NOT NULL,
  checkpoint TEXT   NOT NULL,
  about      TEXT   NOT NULL,
  holder     TEXT   NOT NULL,
  envelope   TEXT   NOT NULL,
  received   BIGINT NOT NULL,
  UNIQUE (digest, signer)
);
CREATE INDEX statements_kind ON statements (kind, checkpoint, seq);
CREATE INDEX statements_about ON statements (about, kind, seq);
CREATE INDEX statements_holder ON statements (holder, kind, seq);

CREATE TABLE requests (
  seq        BIGSERIAL PRIMARY KEY,
  digest     TEXT   NOT NULL UNIQUE,
  checkpoint TEXT   NOT NULL,
  holder     TEXT   NOT NULL,
  stage      TEXT   NOT NULL,
  state      TEXT   NOT NULL,
  assignee   TEXT   NOT NULL,
  renews     TEXT   NOT NULL,
  created    BIGINT NOT NULL,
  decided    BIGINT NOT NULL
);
CREATE INDEX requests_queue ON requests (checkpoint, state, seq);
CREATE INDEX requests_holder ON requests (holder, seq);
CREATE INDEX requests_decided ON requests (checkpoint, decided);

CREATE TABLE request_events (
  seq     BIGSERIAL PRIMARY KEY,
  request TEXT   NOT NULL,
  at      BIGINT NOT NULL,
  state   TEXT   NOT NULL,
  actor   TEXT   NOT NULL,
  note    TEXT   NOT NULL
);
CREATE INDEX request_events_request ON request_events (request, seq);

CREATE TABLE challenges (
  digest  TEXT   PRIMARY KEY NOT NULL,
  expires BIGINT NOT NULL
);

CREATE TABLE bearers (
  digest  TEXT   PRIMARY KEY NOT NULL,
  holder  TEXT   NOT NULL,
  expires BIGINT NOT NULL
);

CREATE TABLE catalogue_files (
  path  TEXT PRIMARY KEY NOT NULL,
  bytes BYTEA NOT NULL
);
CREATE TABLE catalogue_version (
  one     BIGINT PRIMARY KEY NOT NULL CHECK (one = 1),
  version BIGINT NOT NULL
);
INSERT INTO catalogue_version (one, version) VALUES (1, 0);

CREATE TABLE seals (
  manifest       TEXT PRIMARY KEY NOT NULL,
  checkpoint     TEXT NOT NULL,
  manifest_bytes BYTEA NOT NULL,
  shares_bytes   BYTEA NOT NULL
);
