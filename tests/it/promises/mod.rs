//! The promises P1 to P10 (docs/threat-model.md), a module each.

mod p10_one_person_one_catalogue;
mod p1_two_locks;
mod p2_only_the_board_grants;
mod p3_no_secret_release;
mod p4_no_record_no_run;
mod p5_no_going_back;
mod p6_no_unverified_byte;
mod p7_history_stays;
mod p8_errors_help;
mod p9_seen_before_signed;
