//! Killed while it starts for the first time, when nothing is there yet: the
//! next start finds a house that is whole, or makes it so.

use std::process::Command;

use serde_json::json;

use crate::cases;
use crate::house::{Death, OPERATOR, Place, leave_out};

const QUICK: &str = "playbook: quick\nversion: 1\ntitle: Quick\nposture: overt\nsteps:\n  - { id: sum, set: { two: \"${ 1 + 1 }\" } }\n";

/// The server comes up, takes a run, and what it has made is whole.
async fn comes_up(place: &Place, when: &str) {
    let mut life = place.live(&Death::None);
    let answer = life.call(OPERATOR, "POST", "/playbooks/quick/runs", Some(json!({}))).await;
    let answer = answer.unwrap_or_else(|| panic!("killed {when}, it does not start again:\n{}", life.said()));
    assert_eq!(answer.status, 201, "killed {when}: {}", answer.body);
    for secret in ["token", "link.key"] {
        let text = std::fs::read_to_string(place.path("data").join(secret)).expect("it is kept");
        let whole = text.trim().len() == 64 && text.trim().bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(whole, "killed {when}, {secret} is {} bytes of what should be 64 digits", text.trim().len());
    }
    life.stop().await;
    let (code, said) = place.quell(&["store", "verify"]);
    assert_eq!(code, Some(0), "killed {when}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_point_of_its_first_start_it_starts_again() {
    for nth in 1.. {
        let place = Place::new(&[("quick", QUICK)]).await;
        let mut life = place.live(&Death::AtPoint(nth));
        if life.is_up().await {
            assert!(nth > 10, "its start passes points: {:?}", life.points());
            return;
        }
        let at = life.points().pop().unwrap_or_default();
        drop(life);
        comes_up(&place, &format!("at {at}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_write_of_its_first_start_it_starts_again() {
    let traced = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    if !traced.is_ok_and(|status| status.success()) {
        return leave_out("kills at system calls (strace is not here, or may not trace)");
    }
    const WRITES: &str =
        "write,pwrite64,ftruncate,fallocate,fsync,fdatasync,sync_file_range,rename,renameat2,mkdir,unlink";
    let step = cases(8, 1);
    let mut nth = 1;
    loop {
        let place = Place::new(&[("quick", QUICK)]).await;
        let (trace, inject) = (format!("trace={WRITES}"), format!("inject={WRITES}:signal=KILL:when={nth}"));
        let through = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
        let mut life = place.live_through(&through, &[], &Death::None);
        if life.is_up().await {
            assert!(nth > 10, "its start writes");
            return;
        }
        drop(life);
        comes_up(&place, &format!("at its write number {nth}")).await;
        nth += step;
    }
}
