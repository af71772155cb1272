//! Lower-case hexadecimal digits, the only text form of digests, keys and ids.
//!
//! `base16ct` runs in constant time, so secrets can be decoded with it.

use std::fmt;

/// Bytes encoded at a time: the length of a signature.
const BLOCK: usize = 64;

/// Decodes exactly `N` bytes; returns `None` for anything else, upper-case digits included.
pub(crate) fn parse<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let read = base16ct::lower::decode(text, &mut bytes).ok()?.len();
    (read == N).then_some(bytes)
}

pub(crate) fn write(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut digits = [0; 2 * BLOCK];
    for part in bytes.chunks(BLOCK) {
        f.write_str(base16ct::lower::encode_str(part, &mut digits).map_err(|_| fmt::Error)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Shown(Vec<u8>);

    impl fmt::Display for Shown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write(&self.0, f)
        }
    }

    #[test]
    fn bytes_read_back_and_only_their_own_digits_do() {
        let bytes: Vec<u8> = (0..=255).collect();
        let text = Shown(bytes.clone()).to_string();
        assert_eq!(text.len(), 512);
        assert_eq!(parse::<256>(&text).unwrap().to_vec(), bytes);
        assert_eq!(parse::<2>("00ff"), Some([0, 255]));
        for wrong in ["", "00f", "00ff00", "00fF", "00fg", "0x00", "00 f", "ÿÿ"] {
            assert_eq!(parse::<2>(wrong), None, "{wrong}");
        }
    }
}
