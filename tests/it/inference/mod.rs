//! Tokenizer, logits, sampling, batches, and the local endpoint.

mod batch;
mod endpoint;
mod endpoint_limits;
mod logits;
mod speed_options;
mod tokenizer;
