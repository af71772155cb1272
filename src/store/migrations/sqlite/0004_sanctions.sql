-- Revocations as they were verified when they came in, and the person and checkpoint whose grants they end.
CREATE TABLE revocations (
  statement    TEXT   PRIMARY KEY NOT NULL,
  grant_digest TEXT   NOT NULL,
  holder       TEXT   NOT NULL,
  checkpoint   TEXT   NOT NULL,
  at           BIGINT NOT NULL
);
CREATE INDEX revocations_holder ON revocations (holder, checkpoint, at);

-- How each case stands: `outcome` is empty until it is decided, `until` is the end of a suspension.
CREATE TABLE cases (
  statement    TEXT   PRIMARY KEY NOT NULL,
  grant_digest TEXT   NOT NULL,
  holder       TEXT   NOT NULL,
  checkpoint   TEXT   NOT NULL,
  outcome      TEXT   NOT NULL,
  until        BIGINT NOT NULL,
  decided      BIGINT NOT NULL,
  appealed     BIGINT NOT NULL
);
CREATE INDEX cases_holder ON cases (holder, checkpoint, outcome);

-- The rules of the cases that are open: one open case a grant and rule. A case that was opened by hand has the empty rule.
CREATE TABLE open_case_rules (
  place        TEXT   PRIMARY KEY NOT NULL,
  case_digest  TEXT   NOT NULL
);
CREATE INDEX open_case_rules_case ON open_case_rules (case_digest);

-- The newest handover of each member.
CREATE INDEX statements_signer ON statements (kind, checkpoint, signer, seq);
