-- The time up to which a case that finds nothing clears its person of revocations: when it was opened, if an auditor opened it by hand, or when it
-- revoked. 0 for cases that rules raised and that did not revoke, and for those of before.
ALTER TABLE cases ADD COLUMN clears BIGINT NOT NULL DEFAULT 0;
