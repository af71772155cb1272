-- A checkpoint's requests in the order in which they came, whatever their state, without sorting them all.
CREATE INDEX requests_checkpoint ON requests (checkpoint, seq);
