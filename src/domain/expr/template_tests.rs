//! What templates give, and how their mistakes are told.

use serde_json::{Value, json};

use super::scope::Scope;
use super::template::{PathPart, Template};
use super::tests::alert;

fn render(template: &Value) -> Result<Value, String> {
    let alert = alert();
    let scope = Scope::new().with("alert", &alert);
    let template = Template::parse(template).map_err(|errors| errors[0].message.clone())?;
    template.render(&scope).map_err(|error| error.message)
}

#[test]
fn templates_put_values_into_texts() {
    let table = [
        (json!("${ alert.severity }"), json!(70)),
        (json!("${ alert.severity }\n"), json!(70)),
        (json!("${ alert.tags }"), json!(["x", "y"])),
        (json!("${ alert.nothing }"), json!(null)),
        (json!(" ${ alert.severity }"), json!(" 70")),
        (json!("S ${alert.severity}/${ alert.score } ${true}!"), json!("S 70/1.5 true!")),
        (json!("${alert.category}${alert.severity}"), json!("dlp70")),
        (json!("costs $${5} and $5 $$"), json!("costs ${5} and $5 $$")),
        (json!(["$${", {"a": "$${x}"}]), json!(["${", {"a": "${x}"}])),
        (json!({"a": ["${ 1 + 1 }", 3, null], "b": {"c": "x"}}), json!({"a": [2, 3, null], "b": {"c": "x"}})),
        (json!("${ {'a': {'b': 1}}.a.b }"), json!(1)),
        (json!("${ '}' + \"}\" + r'\\' + '\\'}' } x"), json!("}}\\'} x")),
        (json!("${ '''a}'b''' + \"\"\"}\"\"\" }!"), json!("a}'b}!")),
        (json!("${ 1 // }\n + 1 }"), json!(2)),
        (json!("tags: ${ json(alert.tags) }"), json!("tags: [\"x\",\"y\"]")),
        // A value is never read again.
        (json!("${ '$' + '{ alert.severity }' } ${ '$${' }"), json!("${ alert.severity } $${")),
    ];
    for (template, expected) in table {
        assert_eq!(render(&template).as_ref(), Ok(&expected), "{template}");
    }
    let table = [
        (
            json!("x ${ alert.nothing }"),
            "it is null, which can't be written into a text; say what to write instead, as in x != null ? x : \"unknown\"",
        ),
        (
            json!("x ${ alert.tags }"),
            "it is a list, which can't be written into a text; use json(…), or join(…) for a list",
        ),
        (
            json!("x ${ alert.user }"),
            "it is a map, which can't be written into a text; use json(…), or join(…) for a list",
        ),
        (json!("${ alert.severity"), "this ${ has no closing }"),
        (json!("${ '} "), "this ${ has no closing }"),
        (json!("${ }"), "the expression is empty"),
        (json!({"${ a }": 1}), "a key can't hold ${ … }; only values can"),
    ];
    for (template, expected) in table {
        assert_eq!(render(&template), Err(expected.to_owned()), "{template}");
    }
}

#[test]
fn every_mistake_of_a_template_is_found_with_its_place() {
    let source = json!({"to": ["ok", "Dear ${ lowr(x) } and ${ 1 + }"], "x": {"y": "${"}});
    let errors = Template::parse(&source).unwrap_err();
    let path = |parts: &[PathPart]| parts.iter().map(PathPart::to_string).collect::<Vec<_>>().join(".");
    let found: Vec<_> = errors.iter().map(|it| (path(&it.path), it.range.clone())).collect();
    assert_eq!(found, [("to.1".to_owned(), 8..12), ("to.1".to_owned(), 29..29), ("x.y".to_owned(), 0..2)]);
    assert_eq!(errors[0].path, [PathPart::Key("to".into()), PathPart::Index(1)]);
}

#[test]
fn a_template_tells_its_names_and_is_kept_as_written() {
    let source = json!({"a": "${ lower(alert.x) }", "b": ["${ steps.y }-${ alert.x }"]});
    let template = Template::parse(&source).unwrap();
    assert_eq!(template.references().paths, [vec!["alert", "x"], vec!["steps", "y"]]);
    assert_eq!(template.references().functions, ["lower"]);
    assert!(!template.is_plain());
    assert_eq!(serde_json::to_value(&template).unwrap(), source);
    assert_eq!(serde_json::from_value::<Template>(source).unwrap(), template);
    assert!(serde_json::from_value::<Template>(json!("${")).is_err());

    let text = Template::parse(&json!("${ n }")).unwrap();
    let (seven, null) = (json!(7), json!(null));
    assert_eq!(text.render_text(&Scope::new().with("n", &seven)), Ok("7".to_owned()));
    assert!(text.render_text(&Scope::new().with("n", &null)).is_err());
}
