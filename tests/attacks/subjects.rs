//! Choosing the rules that apply by the subject that one writes.
