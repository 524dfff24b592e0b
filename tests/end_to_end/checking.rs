//! What authors are told before anything runs, by the real binary.

use std::path::Path;

use crate::house::quell;

/// A house in a directory: settings, and playbooks under `p`.
fn house(settings: &str, playbooks: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("there is room");
    let write = |path: &Path, text: &str| std::fs::write(path, text).expect("it is written");
    std::fs::create_dir(dir.path().join("p")).expect("it is made");
    write(&dir.path().join("quell.yaml"), settings);
    for (name, text) in playbooks {
        write(&dir.path().join("p").join(name), text);
    }
    dir
}

fn playbook(name: &str, steps: &str) -> String {
    format!("playbook: {name}\nversion: 1\ntitle: T\nposture: overt\nsteps:\n{steps}")
}

const LOOKS: &str = "  - id: a\n    enrich: scim.find_user\n    with: { user: a@example.com }\n  - id: b\n    enrich: scim.find_user\n    with: { user: b@example.com }\n";

#[test]
fn a_connector_that_is_not_configured_is_told_once_and_what_to_add() {
    let assets = "playbooks: p\nconnectors:\n  assets: { use: assets, url: \"http://127.0.0.1:9\", auth: { token: \"${env:QUELL_TEST_TOKEN}\" } }\n";
    let looks = playbook("looks", LOOKS);
    let dir = house(assets, &[("looks.yaml", &looks)]);
    for args in [&["check"][..], &["check", "p/looks.yaml"]] {
        let out = quell(args, dir.path());
        assert_eq!(out.status.code(), Some(0), "{args:?}: {}", out.text);
        assert_eq!(out.text.matches("warning[connector-not-configured]").count(), 1, "{}", out.text);
        for told in ["no connector `scim` is configured", "p/looks.yaml:7:", "`scim: { use: scim, url: … }`"]
        {
            assert!(out.text.contains(told), "`{told}` in {}", out.text);
        }
    }
    // Mail goes by a connector too.
    let dir = house(&format!("{assets}mail: {{ connector: smpt }}\n"), &[]);
    let out = quell(&["check"], dir.path());
    assert!(out.text.contains("no mail can be sent\n --> quell.yaml:4:20"), "{}", out.text);
    // Nothing is set up yet: a playbook can be checked before it is.
    let dir = house("playbooks: p\n", &[("looks.yaml", &looks)]);
    let out = quell(&["check"], dir.path());
    assert!(!out.text.contains("warning"), "{}", out.text);
    // One that is configured with a mistake is not missing, and has its operations.
    let broken = assets.replace("assets: { use: assets", "idp: { use: scim, ulr: x");
    let looks = looks.replace("scim.", "idp.");
    let dir = house(&broken, &[("looks.yaml", &looks)]);
    let out = quell(&["check"], dir.path());
    assert!(out.text.contains("`ulr`") && out.text.contains("1 mistake found"), "{}", out.text);
    assert!(!out.text.contains("not-configured"), "{}", out.text);
}

#[test]
fn a_directory_without_playbooks_is_said_to_have_none_and_built_in_ones_are_named_so() {
    let dir = tempfile::tempdir().expect("there is room");
    std::fs::create_dir(dir.path().join("empty")).expect("it is made");
    let out = quell(&["check", "empty"], dir.path());
    assert_eq!(out.status.code(), Some(0), "{}", out.text);
    assert!(out.text.contains("warning[no-playbook]: no playbook in empty"), "{}", out.text);
    let built_in = "ok  playbooks/departing-employee-exfiltration.yaml (built in)";
    assert!(out.text.contains(built_in), "{}", out.text);
    // The same directory, by the settings and by name: told once.
    std::fs::write(dir.path().join("quell.yaml"), "playbooks: ./empty\n").expect("it is written");
    let out = quell(&["check", "empty"], dir.path());
    assert_eq!(out.text.matches("no-playbook").count(), 1, "{}", out.text);
    assert!(!out.text.contains("built in"), "{}", out.text);
}

#[test]
fn a_mistake_in_the_settings_hides_none_in_the_other_files_and_makes_none() {
    let settings = "listne: 127.0.0.1:0\nplaybooks: p\nsources:\n  open: { use: generci }\npeople:\n  groups: { hr: [nobody] }\n";
    let asks = playbook(
        "asks",
        "  - id: a\n    ask: { who: \"group:hr\", question: Q, choices: { y: Yes, n: No }, within: 1h, if_silent: n }\n",
    );
    let wrong = playbook("wrong", "  - id: a\n    wiat: 1s\n");
    let dir = house(settings, &[("asks.yaml", &asks), ("wrong.yaml", &wrong)]);
    let out = quell(&["check"], dir.path());
    assert_eq!(out.status.code(), Some(2), "{}", out.text);
    for told in ["did you mean `listen`?", "did you mean `generic`?", "`nobody`", "did you mean `wait`?"] {
        assert!(out.text.contains(told), "`{told}` in {}", out.text);
    }
    assert!(out.text.contains("4 mistakes found"), "{}", out.text);
    // Whoever does anything else is told of the settings first.
    let out = quell(&["runs"], dir.path());
    assert_eq!(out.status.code(), Some(2), "{}", out.text);
    assert!(out.text.contains("1 mistake found"), "{}", out.text);
}

#[test]
fn what_init_says_to_do_next_can_be_copied() {
    let dir = tempfile::tempdir().expect("there is room");
    let out = quell(&["init", "my house"], dir.path());
    assert_eq!(out.status.code(), Some(0), "{}", out.text);
    let next: Vec<&str> =
        out.text.lines().skip_while(|line| *line != "next:").skip(1).map(str::trim).collect();
    assert_eq!(next.first(), Some(&"cd 'my house'"), "{}", out.text);
    assert_eq!(next.len(), 5, "{}", out.text);
    for line in &next[1..] {
        assert!(line.starts_with('/') || line.starts_with("quell "), "{line}");
    }
    let copied = next[..4].join(" && ");
    let ran = std::process::Command::new("sh").args(["-c", &copied]).current_dir(dir.path()).output();
    let ran = ran.expect("the shell starts");
    assert!(ran.status.success(), "{copied}: {}", String::from_utf8_lossy(&ran.stderr));
    let here = quell(&["init"], &dir.path().join("my house/playbooks"));
    assert!(!here.text.contains("cd "), "{}", here.text);
}

#[test]
fn a_test_of_one_file_does_not_tell_the_mistakes_of_its_neighbours() {
    let good = playbook("good", "  - id: a\n    set: { b: \"${ 1 + 1 }\" }\n");
    let bad = playbook("bad", "  - id: a\n    wiat: 1s\n");
    let wrong = "test: good\ncases:\n  - case: it ends\n    inputs: {}\n    expct: {}\n";
    let broken = "test: bad\ncases:\n  - case: it ends\n    inputs: {}\n    expect: {}\n";
    let files: &[(&str, &str)] =
        &[("good.yaml", &good), ("bad.yaml", &bad), ("good.test.yaml", wrong), ("bad.test.yaml", broken)];
    let dir = house("playbooks: p\n", files);
    let out = quell(&["test", "p/good.test.yaml"], dir.path());
    assert_eq!(out.status.code(), Some(2), "{}", out.text);
    assert!(
        out.text.contains("did you mean `expect`?") && out.text.contains("2 mistakes found"),
        "{}",
        out.text
    );
    assert!(!out.text.contains("bad.yaml"), "{}", out.text);
    // The mistake of the playbook that is tested is what matters.
    let out = quell(&["test", "p/bad.test.yaml"], dir.path());
    assert!(out.text.contains("did you mean `wait`?"), "{}", out.text);
}

#[test]
fn one_mistake_in_a_connector_file_is_one_message() {
    let operation = |name: &str| {
        format!(
            "  {name}:\n    effect: R\n    input: {{ user: {{ type: string, required: true }} }}\n    request: {{ method: GET, path: \"/users/${{ input.user }}\" }}\n    output: {{ user: \"${{ input.user }}\" }}\n"
        )
    };
    let operations: String = ["one", "two", "three"].iter().map(|name| operation(name)).collect();
    let whole = format!("connector: own\ntitle: Own\nproven: spec\ndriver: http\noperations:\n{operations}");
    let slips = [
        ("driver: http\n", "driver: htpp\n", "`http`"),
        ("driver: http\n", "auth: { oauth: { client: a } }\n", "cannot sign in by `oauth`"),
        ("type: string", "type: strng", "did you mean `string`?"),
    ];
    for (right, wrong, told) in slips {
        let dir = house("playbooks: p\n", &[("../own.yaml", &whole.replacen(right, wrong, 1))]);
        let out = quell(&["check", "own.yaml"], dir.path());
        assert_eq!(out.status.code(), Some(2), "{wrong}: {}", out.text);
        assert!(out.text.contains(told), "`{told}` in {}", out.text);
        assert_eq!(out.text.matches("error[").count(), 2, "one, and the sum of them: {}", out.text);
    }
}

#[test]
fn the_help_names_what_the_environment_may_say() {
    let dir = tempfile::tempdir().expect("there is room");
    let out = quell(&["--help"], dir.path());
    for name in ["QUELL_SERVER", "QUELL_TOKEN", "QUELL_LOG", "QUELL_CONFIG", "QUELL_DATA"] {
        assert!(out.text.contains(name), "`{name}` in {}", out.text);
    }
}
