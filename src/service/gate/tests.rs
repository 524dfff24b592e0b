use super::*;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + millis)
}

fn from(address: &str) -> Option<IpAddr> {
    Some(address.parse().expect("an address"))
}

fn gate(per_second: u32, burst: u32) -> Gate {
    let proxies = vec![Network::read("10.1.0.0/16").expect("a network")];
    Gate::new(DoorLimits { per_second, burst, proxies, ..DoorLimits::default() })
}

fn delivery(id: &str) -> Delivery {
    Delivery { id: Some(id.to_owned()) }
}

/// How many of so many wrong deliveries are read.
fn read_of(gate: &Gate, address: &str, count: usize) -> usize {
    let knock = |_: &usize| {
        let read = gate.may_knock(from(address), at(0)).is_ok();
        if read {
            gate.was_wrong(from(address), at(0));
        }
        read
    };
    (0..count).filter(knock).count()
}

#[test]
fn who_is_wrong_too_often_is_refused_unread_and_comes_back() {
    let gate = gate(10, 10);
    assert_eq!(read_of(&gate, "198.51.100.7", 1000), 20);
    assert_eq!(gate.may_knock(from("198.51.100.7"), at(0)), Err(Duration::from_secs(3)));
    assert_eq!(gate.may_knock(from("198.51.100.8"), at(0)), Ok(()), "another address");
    // A house has one network in IPv6, and an address of either family is one.
    assert_eq!(read_of(&gate, "2001:db8:1:1::1", 1000), 20);
    assert!(gate.may_knock(from("2001:db8:1:1:ffff::9"), at(0)).is_err());
    assert_eq!(gate.may_knock(from("2001:db8:1:2::1"), at(0)), Ok(()));
    assert!(gate.may_knock(from("::ffff:198.51.100.7"), at(0)).is_err());
    assert_eq!(gate.may_knock(from("198.51.100.7"), at(3000)), Ok(()));
}

#[test]
fn a_forger_takes_nothing_from_the_sender() {
    let gate = gate(10, 10);
    for address in 0..100 {
        read_of(&gate, &format!("203.0.113.{address}"), 100);
    }
    let sender = from("198.51.100.7");
    for number in 0..10 {
        assert_eq!(gate.may_knock(sender, at(0)), Ok(()));
        assert_eq!(gate.was_right(sender, &delivery(&number.to_string()), at(0)), Ok(()));
    }
    assert!(gate.was_right(sender, &delivery("10"), at(0)).is_err(), "its own limit");
}

#[test]
fn an_address_that_the_sender_may_stand_behind_is_never_refused_unread() {
    let gate = gate(10, 10);
    for shared in ["127.0.0.1", "::1", "10.1.2.3", "::ffff:10.1.2.3"] {
        assert_eq!(read_of(&gate, shared, 100), 100, "{shared}");
    }
    assert_eq!(read_of(&gate, "10.2.0.1", 100), 20);
    // A proxy that nobody named, once the sender has come through it.
    assert_eq!(gate.was_right(from("198.51.100.7"), &delivery("a"), at(0)), Ok(()));
    assert_eq!(read_of(&gate, "198.51.100.7", 100), 100);
    // Also when the forger was there first.
    read_of(&gate, "198.51.100.9", 20);
    assert_eq!(gate.was_right(from("198.51.100.9"), &delivery("b"), at(0)), Ok(()));
    assert_eq!(gate.may_knock(from("198.51.100.9"), at(0)), Ok(()));
}

#[test]
fn copies_of_a_delivery_take_nothing_from_new_ones() {
    let gate = gate(1, 10);
    let sender = from("198.51.100.7");
    assert_eq!(gate.was_right(sender, &delivery("a"), at(0)), Ok(()));
    gate.was_stored(&delivery("a"), at(0));
    let copies = (0..100).filter(|_| gate.was_right(sender, &delivery("a"), at(0)).is_ok()).count();
    assert_eq!(copies, 10);
    let new = |number: &usize| gate.was_right(sender, &delivery(&number.to_string()), at(0)).is_ok();
    assert_eq!((0..100).filter(new).count(), 9);
    // What was refused is still new when it comes again.
    assert_eq!(gate.was_right(sender, &delivery("99"), at(1000)), Ok(()));
    assert!(gate.was_right(sender, &delivery("98"), at(1000)).is_err());
    assert_eq!(gate.was_right(sender, &delivery("later"), at(2000)), Ok(()));
}

#[test]
fn what_is_remembered_has_an_end() {
    let gate = gate(1_000_000, 1_000_000);
    for number in 0..10_000u32 {
        let address = Some(IpAddr::from((0x1400_0000 + number).to_be_bytes()));
        gate.was_wrong(address, at(0));
        let other = Some(IpAddr::from((0x2800_0000 + number).to_be_bytes()));
        assert_eq!(gate.was_right(other, &delivery(&number.to_string()), at(i64::from(number))), Ok(()));
        gate.was_stored(&delivery(&number.to_string()), at(i64::from(number)));
    }
    let counts = gate.counts.lock();
    let counts = counts.as_ref().expect("it was asked");
    assert_eq!(counts.senders.len(), SENDERS_MAX);
    assert_eq!(counts.recent.len(), RECENT_MAX);
    assert_eq!(counts.recent_order.len(), RECENT_MAX);
    assert!(counts.wrong.len() <= ADDRESSES_MAX, "{}", counts.wrong.len());
}
