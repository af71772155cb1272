//! Files and settings that change a result in silence.
