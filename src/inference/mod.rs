//! Inference: runs a checkpoint.

pub mod tokenizer;
