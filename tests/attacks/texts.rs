//! Names, prompts and reasons that deceive whoever reads them.
