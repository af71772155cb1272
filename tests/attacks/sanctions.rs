//! Getting round a suspension, a revocation or a limit by another grant.
