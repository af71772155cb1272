-- A checkpoint's requests in the order in which they came, whatever their state, without sorting them all.
CREATE INDEX requests_checkpoint ON requests (checkpoint, seq);
-- What is over, to forget it without looking at what is not.
CREATE INDEX challenges_expires ON challenges (expires);
CREATE INDEX bearers_expires ON bearers (expires);
