-- What a request asks for, without its date: asking for the same again while the first is pending is no second request.
ALTER TABLE requests ADD COLUMN asks TEXT NOT NULL DEFAULT '';
CREATE INDEX requests_asks ON requests (holder, asks);

-- What people used up of a day's quotas, by what is counted and the day since 1970. The row is the lock under which a quota is checked.
CREATE TABLE intake_counts (
  what  TEXT   NOT NULL,
  day   BIGINT NOT NULL,
  count BIGINT NOT NULL,
  PRIMARY KEY (what, day)
);
CREATE INDEX intake_counts_day ON intake_counts (day);

-- The key of the challenges that proofs of work answer; the replicas of one registry share it.
CREATE TABLE intake_key (
  one   BIGINT PRIMARY KEY NOT NULL CHECK (one = 1),
  bytes TEXT   NOT NULL
);
