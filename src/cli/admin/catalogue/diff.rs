//! What changed between two texts, line by line, as `diff -u` shows it.

/// Longest stretch of differing lines that is compared line by line; its square is the work.
const MAX_LINES: usize = 2000;
/// Lines shown around a change.
const CONTEXT: usize = 3;

/// Lines with `-`, `+` or a blank before them; `None` if the texts are too long to compare.
pub(super) fn unified_diff(before: &str, after: &str) -> Option<String> {
    let (before, after): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let prefix = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
    let (old, new) = (&before[prefix..], &after[prefix..]);
    let suffix = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[..old.len() - suffix], &new[..new.len() - suffix]);
    if old.len() > MAX_LINES || new.len() > MAX_LINES {
        return None;
    }
    let mut lines: Vec<(char, &str)> = before[..prefix].iter().map(|line| (' ', *line)).collect();
    lines.extend(compare_lines(old, new));
    lines.extend(before[before.len() - suffix..].iter().map(|line| (' ', *line)));
    Some(keep_context(&lines))
}

/// The longest common subsequence keeps its lines; the others go or come.
fn compare_lines<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(char, &'a str)> {
    // common[i][j]: how many lines old[i..] and new[j..] have in common, in order.
    let width = new.len() + 1;
    let mut common = vec![0u16; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i * width + j] = if old[i] == new[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut lines = Vec::new();
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push((' ', old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || i < old.len() && common[(i + 1) * width + j] >= common[i * width + j + 1]
        {
            lines.push(('-', old[i]));
            i += 1;
        } else {
            lines.push(('+', new[j]));
            j += 1;
        }
    }
    lines
}

fn keep_context(lines: &[(char, &str)]) -> String {
    let mut shown = vec![false; lines.len()];
    for (i, _) in lines.iter().enumerate().filter(|(_, (mark, _))| *mark != ' ') {
        let end = lines.len().min(i + CONTEXT + 1);
        shown[i.saturating_sub(CONTEXT)..end].fill(true);
    }
    let mut text = String::new();
    for (i, (mark, line)) in lines.iter().enumerate() {
        if shown[i] {
            // What is shown may be hostile: it must not steer the reader's terminal.
            let line: String =
                line.chars().map(|c| if c.is_control() && c != '\t' { '?' } else { c }).collect();
            text += &format!("    {mark} {line}\n");
        } else if i > 0 && shown[i - 1] {
            text += "      …\n";
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_shown_with_what_is_around_them() {
        let before = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n";
        let after = "a\nb\nc\nd\ne\nF\ng\nh\nx\ni\nj\n";
        insta::assert_snapshot!(unified_diff(before, after).unwrap(), @"
          c
          d
          e
        - f
        + F
          g
          h
        + x
          i
          j
        ");
    }

    #[test]
    fn a_diff_cannot_steer_a_terminal_or_take_forever() {
        assert!(!unified_diff("", "\u{1b}[31mred").unwrap().contains('\u{1b}'));
        let long = |c: char| format!("{c}\n").repeat(MAX_LINES + 1);
        assert_eq!(unified_diff(&long('a'), &long('b')), None);
        assert_eq!(unified_diff("same\n", "same\n").unwrap(), "");
    }
}
