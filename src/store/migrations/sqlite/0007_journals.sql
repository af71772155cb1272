-- What a lease binds a journal to: when its owner told last how it stands, until when and under which grant it was leased for, and, of one
-- that was declared lost, the case that came of it.
ALTER TABLE usage_journals ADD COLUMN told         BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_journals ADD COLUMN leased_until BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_journals ADD COLUMN leased_for   TEXT   NOT NULL DEFAULT '';
ALTER TABLE usage_journals ADD COLUMN lost         BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_journals ADD COLUMN raised       TEXT   NOT NULL DEFAULT '';

-- Whether a generation's end came in, and its grant. Of those before, nobody asks any more.
ALTER TABLE usage_generations ADD COLUMN ended      BIGINT NOT NULL DEFAULT 1;
ALTER TABLE usage_generations ADD COLUMN leased_for TEXT   NOT NULL DEFAULT '';
CREATE INDEX usage_generations_open ON usage_generations (holder) WHERE ended = 0;
