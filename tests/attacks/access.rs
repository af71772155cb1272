//! Approvals: one person on two boards, junk signatures, older policies, denied requests, made-up affiliations.
