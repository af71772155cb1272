//! Checkpoints: fetching, import, verification, sealing; parsers of untrusted files.

mod fetch;
mod fetch_hugging_face;
mod fetch_resume;
mod forms;
mod hostile_files;
mod import;
mod import_remote;
mod import_tensorflow;
mod seal;
mod tensorflow_checkpoint;
mod verify;
