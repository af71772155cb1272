-- Rules that were met while a case about them under the same grant was open. They wait there until it is decided; then a case of their own is opened.
-- `journal` is empty where a history met the rule, and no record alone.
CREATE TABLE later_hits (
  place        TEXT   PRIMARY KEY NOT NULL,
  grant_digest TEXT   NOT NULL,
  holder       TEXT   NOT NULL,
  rule         TEXT   NOT NULL,
  journal      TEXT   NOT NULL,
  seq          BIGINT NOT NULL,
  record       TEXT   NOT NULL,
  severity     TEXT   NOT NULL,
  reason       TEXT   NOT NULL,
  at           BIGINT NOT NULL
);
CREATE INDEX later_hits_grant ON later_hits (grant_digest, at);
