//! An injective encoding of a list of byte strings.

/// Each part follows its length as eight bytes, big-endian.
pub(super) fn encode(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| 8 + part.len()).sum());
    for part in parts {
        bytes.extend((part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::encode;

    #[test]
    fn no_two_lists_of_parts_look_alike() {
        let lists: [&[&[u8]]; 6] = [&[], &[b""], &[b"", b""], &[b"ab"], &[b"a", b"b"], &[b"", b"ab"]];
        for (i, left) in lists.iter().enumerate() {
            for right in &lists[i + 1..] {
                assert_ne!(encode(left), encode(right), "{left:?} {right:?}");
            }
        }
        assert_eq!(encode(&[b"ab"]), b"\0\0\0\0\0\0\0\x02ab");
    }
}
