//! Who counts for which board: each person who approved fills one seat at most, and as many seats are filled as can be.
//!
//! A stage demands seats of boards. Whoever sits on two boards could fill a seat of either and fills one of them; otherwise
//! `{ board = 2, ethics = 1 }` would be met by two people. The seats are a maximum matching (augmenting paths), so neither the order
//! in which people signed nor their keys decide whether a demand is met.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

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

/// What each board must give, by board. It is read at every decision, so it allocates nothing.
#[derive(Debug, Clone, Copy)]
pub struct Demands<'a> {
    by_policy: &'a BTreeMap<BoardName, NonZeroU32>,
    /// The catalogue's threshold of the checkpoint's own board.
    own_threshold: Option<u32>,
}

impl Stage {
    /// What each board must give before a grant of this stage counts: what the policy asks for and, of the checkpoint's own board,
    /// never less than the catalogue's threshold of it. If the policy asks for nobody's approval there is no demand.
    pub fn demands(&self, board_threshold: Option<u32>) -> Demands<'_> {
        let own_threshold = board_threshold.filter(|_| !self.approvals.is_empty());
        Demands { by_policy: &self.approvals, own_threshold }
    }
}

impl<'a> Demands<'a> {
    /// Each board with its demand: the checkpoint's own first if the catalogue alone demands it, the others in the order of their names.
    pub fn iter(self) -> impl Iterator<Item = (&'a BoardName, Demand)> {
        let own =
            self.own_threshold.filter(|need| *need > 0 && !self.by_policy.contains_key(BoardName::own()));
        let own = own.map(|need| (BoardName::own(), Demand { need, by_catalogue: true }));
        let by_policy = self.by_policy.iter().map(move |(board, need)| {
            let need = need.get();
            let more = self.own_threshold.filter(|more| *more > need && board == BoardName::own());
            (board, Demand { need: more.unwrap_or(need), by_catalogue: more.is_some() })
        });
        own.into_iter().chain(by_policy)
    }

    /// What one board must give.
    pub fn get(self, board: &BoardName) -> Option<Demand> {
        self.iter().find(|(demanded, _)| *demanded == board).map(|(_, demand)| demand)
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

/// Fills the seats that are demanded, board by board. `counts` are people of one board each, of whom no more is known; `people` are those
/// who are known by their keys, with the boards on which each sits.
pub fn fill_seats<'a>(
    demands: Demands<'a>,
    counts: &BTreeMap<BoardName, u32>,
    people: &'a BTreeMap<PersonKey, BTreeSet<BoardName>>,
) -> impl Iterator<Item = (&'a BoardName, Seats)> {
    let anonymous =
        |board: &BoardName, demand: Demand| counts.get(board).copied().unwrap_or_default().min(demand.need);
    let mut seating = Seating { people, open: BTreeMap::new(), seated: BTreeMap::new() };
    if !people.is_empty() {
        let open = demands.iter().map(|(board, demand)| (board, demand.need - anonymous(board, demand)));
        seating.open = open.collect();
        people.keys().for_each(|person| {
            seating.seat(person, &mut BTreeSet::new());
        });
    }
    demands.iter().map(move |(board, demand)| {
        let named = seating.seated.get(board).map_or(0, Vec::len);
        let filled = anonymous(board, demand) + u32::try_from(named).unwrap_or(u32::MAX);
        (board, Seats { demand, filled, elsewhere: seating.seated_beside(board) })
    })
}

/// People as they are seated.
struct Seating<'a> {
    people: &'a BTreeMap<PersonKey, BTreeSet<BoardName>>,
    /// Seats of each board for people who are known.
    open: BTreeMap<&'a BoardName, u32>,
    seated: BTreeMap<&'a BoardName, Vec<&'a PersonKey>>,
}

impl<'a> Seating<'a> {
    /// How many of a board's members fill a seat of another.
    fn seated_beside(&self, board: &BoardName) -> u32 {
        let is_beside = |person: &PersonKey| {
            let mut others = self.seated.iter().filter(|(other, _)| **other != board);
            others.any(|(_, seated)| seated.contains(&person))
        };
        let beside = self.people.iter().filter(|(person, on)| on.contains(board) && is_beside(person));
        u32::try_from(beside.count()).unwrap_or(u32::MAX)
    }

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
        let by_policy: BTreeMap<_, _> =
            demands.iter().map(|(name, need)| (board(name), NonZeroU32::new(*need).unwrap())).collect();
        let demands = Demands { by_policy: &by_policy, own_threshold: None };
        let person = |(seed, boards): (u8, &&[&str])| {
            (PersonKey::from_bytes([seed; 32]), boards.iter().map(|name| board(name)).collect())
        };
        let people = (0..).zip(people).map(person).collect();
        fill_seats(demands, &BTreeMap::new(), &people).map(|(_, seats)| seats.filled).sum()
    }

    #[test]
    fn the_greater_of_policy_and_catalogue_binds() {
        let demands = |own: Option<u32>, threshold: Option<u32>| {
            let by_policy: BTreeMap<_, _> = [("ethics", Some(1)), ("board", own)]
                .into_iter()
                .filter_map(|(name, need)| Some((board(name), NonZeroU32::new(need?)?)))
                .collect();
            let demands = Demands { by_policy: &by_policy, own_threshold: threshold };
            demands
                .iter()
                .map(|(board, demand)| (board.to_string(), demand.need, demand.by_catalogue))
                .collect::<Vec<_>>()
        };
        let named = |name: &str, need, by| (name.to_owned(), need, by);
        assert_eq!(demands(Some(1), None), [named("board", 1, false), named("ethics", 1, false)]);
        assert_eq!(demands(Some(1), Some(2)), [named("board", 2, true), named("ethics", 1, false)]);
        assert_eq!(demands(Some(3), Some(2)), [named("board", 3, false), named("ethics", 1, false)]);
        assert_eq!(demands(None, Some(2)), [named("board", 2, true), named("ethics", 1, false)]);
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
