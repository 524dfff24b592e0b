use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn limits(at_once: usize, groups: &[(&str, usize)]) -> Limits {
    let groups = groups.iter().map(|(name, most)| ((*name).to_owned(), *most)).collect();
    Limits { at_once, kept: 0, groups, waiting: 1000 }
}

/// Lets one after another go, each leaving before the next.
fn one_by_one(queue: &mut Queue<u32>) -> Vec<u32> {
    let mut order = Vec::new();
    while let Some(key) = queue.take_next() {
        order.push(key);
        queue.leave(key);
    }
    order
}

#[test]
fn a_critical_run_goes_before_a_hundred_thousand_low_ones() {
    let mut queue = Queue::new(limits(1, &[]));
    assert!(queue.try_enter(0, "a", Urgency::Low));
    for key in 1..=100_000 {
        assert!(!queue.try_enter(key, "a", Urgency::Low));
        queue.wait(key, "a", Urgency::Low);
    }
    queue.wait(200_000, "a", Urgency::Critical);
    queue.leave(0);
    assert_eq!(queue.take_next(), Some(200_000));
    assert_eq!(queue.len(), 100_000);
}

#[test]
fn the_more_urgent_goes_first_and_who_came_first_among_equals() {
    let mut queue = Queue::new(limits(1, &[]));
    for (key, urgency) in [
        (1, Urgency::Informational),
        (2, Urgency::Low),
        (3, Urgency::Critical),
        (4, Urgency::Medium),
        (5, Urgency::High),
        (6, Urgency::Access),
        (7, Urgency::Critical),
    ] {
        queue.wait(key, "a", urgency);
    }
    assert_eq!(one_by_one(&mut queue), [6, 3, 7, 5, 4, 2, 1]);
}

#[test]
fn playbooks_take_turns_inside_one_urgency() {
    let mut queue = Queue::new(limits(1, &[]));
    for key in 0..6 {
        queue.wait(key, "flood", Urgency::Low);
    }
    queue.wait(10, "small", Urgency::Low);
    queue.wait(11, "small", Urgency::Low);
    queue.wait(20, "other", Urgency::Low);
    assert_eq!(one_by_one(&mut queue), [0, 10, 20, 1, 11, 2, 3, 4, 5]);
}

#[test]
fn a_playbook_at_its_limit_holds_up_nobody_else() {
    let mut queue = Queue::new(limits(4, &[("slow", 1)]));
    assert!(queue.try_enter(1, "slow", Urgency::Critical));
    queue.wait(2, "slow", Urgency::Critical);
    queue.wait(3, "quick", Urgency::Low);
    assert_eq!(queue.take_next(), Some(3));
    assert_eq!(queue.take_next(), None, "the slow one is at its limit");
    queue.leave(1);
    assert_eq!(queue.take_next(), Some(2));
}

#[test]
fn some_places_are_kept_for_what_is_critical() {
    let mut queue = Queue::new(Limits::runs(8, 100, BTreeMap::new()));
    for key in 0..20 {
        if !queue.try_enter(key, "a", Urgency::High) {
            queue.wait(key, "a", Urgency::High);
        }
    }
    assert_eq!((queue.under_way(), queue.len()), (7, 13));
    assert!(queue.try_enter(100, "a", Urgency::Critical), "one place was kept");
    assert!(!queue.try_enter(101, "a", Urgency::Critical));
    let mut few = Queue::new(Limits::runs(2, 100, BTreeMap::new()));
    assert!(few.try_enter(1, "a", Urgency::Low) && few.try_enter(2, "a", Urgency::Low));
}

#[test]
fn what_has_begun_is_never_held_back_and_counts() {
    let mut queue = Queue::new(limits(2, &[]));
    for key in 0..5 {
        queue.enter(key, "a");
    }
    queue.wait(10, "a", Urgency::Critical);
    for key in 0..4 {
        assert_eq!(queue.take_next(), None);
        queue.leave(key);
    }
    assert_eq!(queue.take_next(), Some(10));
}

#[test]
fn the_door_closes_to_small_alerts_first_and_opens_again() {
    let mut queue = Queue::<u32>::new(Limits { waiting: 20, ..limits(1, &[]) });
    for key in 0..18 {
        assert!(queue.reserve(1, Urgency::Low), "{key}");
        queue.wait(key, "a", Urgency::Low);
        queue.release(1);
    }
    assert!(!queue.reserve(1, Urgency::Medium));
    assert!(queue.reserve(0, Urgency::Low), "an alert that starts nothing needs no room");
    assert!(queue.reserve(5, Urgency::High), "what comes together is taken together");
    assert!(!queue.reserve(1, Urgency::Critical));
    queue.release(5);
    queue.leave(3);
    assert!(queue.reserve(1, Urgency::Low));
}

#[test]
fn nothing_goes_once_it_is_closed_and_nothing_is_lost_by_that() {
    let mut queue = Queue::new(limits(2, &[]));
    queue.wait(1, "a", Urgency::Critical);
    queue.close();
    assert_eq!(queue.take_next(), None);
    assert!(!queue.try_enter(2, "a", Urgency::Critical));
    assert_eq!(queue.len(), 1);
}

#[derive(Debug, Clone)]
enum Move {
    Come(u8, u8),
    Begun(u8),
    Next,
    Leave(u8),
    Withdraw(u8),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => (0u8..4, 0u8..6).prop_map(|(group, urgency)| Move::Come(group, urgency)),
        1 => (0u8..4).prop_map(Move::Begun),
        3 => Just(Move::Next),
        2 => any::<u8>().prop_map(Move::Leave),
        1 => any::<u8>().prop_map(Move::Withdraw),
    ];
    proptest::collection::vec(one, 0..200)
}

/// What the queue ought to do, written without any cleverness.
#[derive(Default)]
struct Model {
    waits: Vec<(u32, usize, Urgency)>,
    under_way: Vec<(u32, usize)>,
    gone: BTreeSet<u32>,
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const MOST: [usize; 4] = [1, 2, usize::MAX, usize::MAX];

impl Model {
    fn fits(&self, group: usize, urgency: Urgency) -> bool {
        let most = if urgency <= Urgency::Critical { 5 } else { 4 };
        let busy = self.under_way.iter().filter(|(_, other)| *other == group).count();
        self.under_way.len() < most && busy < MOST[group]
    }

    /// The most urgent that may go; any group of that urgency may have its turn.
    fn may_go(&self) -> Vec<u32> {
        let may = |(_, group, urgency): &&(u32, usize, Urgency)| self.fits(*group, *urgency);
        let Some(first) = self.waits.iter().filter(may).map(|(_, _, urgency)| *urgency).min() else {
            return Vec::new();
        };
        let mut seen = BTreeSet::new();
        let of_first = self.waits.iter().filter(may).filter(|(_, _, urgency)| *urgency == first);
        of_first.filter(|(_, group, _)| seen.insert(*group)).map(|(key, _, _)| *key).collect()
    }
}

proptest! {
    #[test]
    fn whatever_comes_and_goes_limits_hold_order_holds_and_nothing_is_lost(moves in moves()) {
        let groups = BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]);
        let mut queue = Queue::new(Limits { at_once: 5, kept: 1, groups, waiting: usize::MAX });
        let mut model = Model::default();
        let mut came = 0;
        for step in moves {
            match step {
                Move::Come(group, urgency) => {
                    came += 1;
                    let (group, urgency) = (usize::from(group), Urgency::ALL[usize::from(urgency)]);
                    let first = model.may_go().first().copied();
                    let first = first.and_then(|key| model.waits.iter().find(|(other, _, _)| *other == key));
                    let free = model.fits(group, urgency) && first.is_none_or(|(_, _, other)| *other > urgency);
                    prop_assert_eq!(queue.try_enter(came, NAMES[group], urgency), free);
                    if free {
                        model.under_way.push((came, group));
                    } else {
                        queue.wait(came, NAMES[group], urgency);
                        model.waits.push((came, group, urgency));
                    }
                }
                Move::Begun(group) => {
                    came += 1;
                    queue.enter(came, NAMES[usize::from(group)]);
                    model.under_way.push((came, usize::from(group)));
                }
                Move::Next => {
                    let may = model.may_go();
                    match queue.take_next() {
                        None => prop_assert!(may.is_empty()),
                        Some(key) => {
                            prop_assert!(may.contains(&key), "{} of {:?}", key, may);
                            let at = model.waits.iter().position(|(other, _, _)| *other == key).unwrap();
                            let (_, group, _) = model.waits.remove(at);
                            model.under_way.push((key, group));
                        }
                    }
                }
                Move::Leave(at) if !model.under_way.is_empty() => {
                    let (key, _) = model.under_way.remove(usize::from(at) % model.under_way.len());
                    queue.leave(key);
                    model.gone.insert(key);
                }
                Move::Withdraw(at) if !model.waits.is_empty() => {
                    let (key, _, _) = model.waits.remove(usize::from(at) % model.waits.len());
                    queue.leave(key);
                    model.gone.insert(key);
                }
                Move::Leave(_) | Move::Withdraw(_) => {}
            }
            prop_assert_eq!((queue.len(), queue.under_way()), (model.waits.len(), model.under_way.len()));
            let told: usize = queue.lengths().iter().map(|(_, len)| len).sum();
            prop_assert_eq!(told, model.waits.len());
        }
        // Everything that came goes in the end, once.
        let waits = model.waits.len();
        for (key, _) in model.under_way {
            queue.leave(key);
        }
        let went = one_by_one(&mut queue);
        prop_assert_eq!(went.len(), waits);
        let unique: BTreeSet<u32> = went.into_iter().collect();
        prop_assert_eq!(unique.len(), waits);
        prop_assert!(unique.is_disjoint(&model.gone) && queue.is_empty());
    }

    #[test]
    fn no_playbook_gets_two_turns_while_another_waits(
        floods in proptest::collection::vec(1usize..30, 2..5),
    ) {
        let mut queue = Queue::new(Limits::calls(1));
        let mut key = 0u32;
        let mut of = BTreeMap::new();
        for (group, &count) in floods.iter().enumerate() {
            for _ in 0..count {
                key += 1;
                queue.wait(key, NAMES[group], Urgency::Low);
                of.insert(key, group);
            }
        }
        let mut left = floods.clone();
        let mut before: Option<usize> = None;
        for went in one_by_one(&mut queue) {
            let group = of[&went];
            if before == Some(group) {
                prop_assert!(left.iter().enumerate().all(|(other, left)| other == group || *left == 0));
            }
            left[group] -= 1;
            before = Some(group);
        }
    }
}
