//! Who counts for which board: each person who approved fills one seat at most, and as many seats are filled as can be.
//!
//! A stage demands seats of boards. Whoever sits on two boards could fill a seat of either and fills one of them; otherwise
//! `{ board = 2, ethics = 1 }` would be met by two people. The seats are a maximum matching (augmenting paths), so neither the order
//! in which people signed nor their keys decide whether a demand is met.

use std::collections::{BTreeMap, BTreeSet};

use super::stage::Stage;
use super::word::{BoardName, PersonKey};

/// How many people of a board must approve, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// How many distinct people.
    pub need: u32,
    /// Whether the catalogue's threshold of the checkpoint's own board asks for more than the policy does.
    pub by_catalogue: bool,
}

impl Stage {
    /// What each board must give before a grant of this stage counts: what the policy asks for and, of the checkpoint's own board,
    /// never less than the catalogue's threshold of it. Where the policy asks for nobody's approval there is no demand.
    pub fn demands(&self, board_threshold: Option<u32>) -> BTreeMap<&BoardName, Demand> {
        let by_policy = |need: u32| Demand { need, by_catalogue: false };
        let mut demands: BTreeMap<_, _> =
            self.approvals.iter().map(|(board, need)| (board, by_policy(need.get()))).collect();
        if let Some(threshold) = board_threshold.filter(|_| !demands.is_empty()) {
            let own = demands.entry(BoardName::own()).or_insert(by_policy(0));
            if own.need < threshold {
                *own = Demand { need: threshold, by_catalogue: true };
            }
        }
        demands
    }
}

/// The seats of one board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seats {
    /// What it must give.
    pub demand: Demand,
    /// How many of its seats are filled.
    pub filled: u32,
    /// How many of its members approved and fill a seat of another board.
    pub elsewhere: u32,
}

/// Fills the seats that are demanded. `counts` are people of one board each, of whom no more is known; `people` are those who are
/// known by their keys, with the boards on which each sits.
pub fn fill_seats<'a>(
    demands: &BTreeMap<&'a BoardName, Demand>,
    counts: &BTreeMap<BoardName, u32>,
    people: &'a BTreeMap<PersonKey, BTreeSet<BoardName>>,
) -> BTreeMap<&'a BoardName, Seats> {
    let anonymous =
        |board: &BoardName, demand: &Demand| counts.get(board).copied().unwrap_or_default().min(demand.need);
    let open = demands.iter().map(|(board, demand)| (*board, demand.need - anonymous(board, demand)));
    let mut seating = Seating { people, open: open.collect(), seated: BTreeMap::new() };
    for person in people.keys() {
        seating.seat(person, &mut BTreeSet::new());
    }
    let is_seated_beside = |board: &BoardName, person: &PersonKey| {
        let mut others = seating.seated.iter().filter(|(other, _)| **other != board);
        others.any(|(_, seated)| seated.contains(&person))
    };
    let seats = demands.iter().map(|(board, demand)| {
        let named = seating.seated.get(board).map_or(0, Vec::len);
        let elsewhere =
            people.iter().filter(|(person, on)| on.contains(*board) && is_seated_beside(board, person));
        let filled = anonymous(board, demand) + u32::try_from(named).unwrap_or(u32::MAX);
        let elsewhere = u32::try_from(elsewhere.count()).unwrap_or(u32::MAX);
        (*board, Seats { demand: *demand, filled, elsewhere })
    });
    seats.collect()
}

/// People as they are seated.
struct Seating<'a> {
    people: &'a BTreeMap<PersonKey, BTreeSet<BoardName>>,
    /// Seats of each board for people who are known.
    open: BTreeMap<&'a BoardName, u32>,
    seated: BTreeMap<&'a BoardName, Vec<&'a PersonKey>>,
}

impl<'a> Seating<'a> {
    /// Seats a person, others moving up where that makes room; whether there was a seat. No board is tried twice, so this ends, and
    /// goes no deeper than there are boards.
    fn seat(&mut self, person: &'a PersonKey, tried: &mut BTreeSet<&'a BoardName>) -> bool {
        let boards: Vec<&'a BoardName> = self.people.get(person).into_iter().flatten().collect();
        for board in boards {
            let Some(open) = self.open.get(board).copied() else { continue };
            if !tried.insert(board) {
                continue;
            }
            let seated = self.seated.entry(board).or_default();
            if seated.len() < usize::try_from(open).unwrap_or(usize::MAX) {
                seated.push(person);
                return true;
            }
            for (place, other) in seated.clone().into_iter().enumerate() {
                if self.seat(other, tried)
                    && let Some(seat) = self.seated.get_mut(board).and_then(|seated| seated.get_mut(place))
                {
                    *seat = person;
                    return true;
                }
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(name: &str) -> BoardName {
        name.parse().unwrap()
    }

    fn filled(demands: &[(&str, u32)], people: &[&[&str]]) -> u32 {
        let names: Vec<_> = demands.iter().map(|(name, _)| board(name)).collect();
        let needs = demands.iter().map(|(_, need)| Demand { need: *need, by_catalogue: false });
        let demands = names.iter().zip(needs).collect();
        let person = |(seed, boards): (u8, &&[&str])| {
            (PersonKey::from_bytes([seed; 32]), boards.iter().map(|name| board(name)).collect())
        };
        let people = (0..).zip(people).map(person).collect();
        fill_seats(&demands, &BTreeMap::new(), &people).values().map(|seats| seats.filled).sum()
    }

    #[test]
    fn each_person_fills_one_seat_and_as_many_are_filled_as_can_be() {
        let both: &[&str] = &["board", "ethics"];
        assert_eq!(filled(&[("board", 2), ("ethics", 1)], &[both, both]), 2);
        assert_eq!(filled(&[("board", 2), ("ethics", 1)], &[both, both, both]), 3);
        // Whoever is tried first, the one who sits on one board alone is not left standing.
        assert_eq!(filled(&[("board", 1), ("ethics", 1)], &[both, &["board"]]), 2);
        assert_eq!(filled(&[("board", 1), ("ethics", 1)], &[both, &["ethics"]]), 2);
        // A chain of three moves: the last comes to the only board that it knows.
        let chain: [&[&str]; 3] = [&["a", "b"], &["b", "c"], &["a"]];
        assert_eq!(filled(&[("a", 1), ("b", 1), ("c", 1)], &chain), 3);
        assert_eq!(filled(&[("a", u32::MAX)], &[&["a"], &["b"]]), 1);
    }
}
