//! Path patterns of delegations (TUF 1.0, 4.5): `*` and `?` match within one path segment, never a `/`.

/// Whether `path` matches `pattern`.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    let (mut patterns, mut parts) = (pattern.split('/'), path.split('/'));
    loop {
        match (patterns.next(), parts.next()) {
            (None, None) => return true,
            (Some(pattern), Some(part)) if part_matches(pattern, part) => {}
            _ => return false,
        }
    }
}

/// Matches one path segment. Greedy with a single backtracking point: the time is at most the product of the lengths.
fn part_matches(pattern: &str, part: &str) -> bool {
    let (pattern, part): (Vec<char>, Vec<char>) = (pattern.chars().collect(), part.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < part.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p).is_some_and(|c| *c == '?' || *c == part[t]) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            (p, t) = (at + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_in_its_folder() {
        for (pattern, path) in [
            ("gpt2/*", "gpt2/policy.toml"),
            ("*/*.toml", "gpt2/policy.toml"),
            ("gpt2/p?licy.*", "gpt2/policy.toml"),
            ("a*b*c", "aXbXbXc"),
            ("*", "x"),
        ] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("gpt2/*", "gpt2/deep/policy.toml"),
            ("*", "gpt2/policy.toml"),
            ("gpt2/*", "gpt2-1.5b/policy.toml"),
            ("gpt2", "gpt2/policy.toml"),
            ("a*b*c", "aXbXb"),
            ("?", ""),
        ] {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
    }
}
