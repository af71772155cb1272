//! Losing usage records without changing the program.
