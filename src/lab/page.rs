//! How a person reads a mail or a web page: the links in it, and the form
//! they are asked to fill in. Tolerant, as browsers are.

use scraper::{ElementRef, Html};

/// The field whose value is the answer.
const CHOICE: &str = "choice";

/// A form as it stands on a page, before it is filled in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form {
    /// Where it is sent; empty means the page's own address.
    pub action: String,
    /// What may be chosen, in the page's order.
    pub choices: Vec<String>,
    /// Fields that go back as they are: hidden ones, what is preselected.
    pub kept: Vec<(String, String)>,
    /// Names of fields to write something in.
    pub texts: Vec<String>,
    /// Boxes that must be ticked, with what they send.
    pub ticks: Vec<(String, String)>,
}

/// The first form of the page that is sent by POST and offers a choice.
pub fn form(html: &str) -> Option<Form> {
    posted(html).into_iter().find(|form| !form.choices.is_empty())
}

/// The first form of the page that is sent by POST and asks to tick a box: the page
/// repeats an answer and wants it confirmed.
pub fn confirmation(html: &str) -> Option<Form> {
    posted(html).into_iter().find(|form| form.choices.is_empty() && !form.ticks.is_empty())
}

fn posted(html: &str) -> Vec<Form> {
    let page = Html::parse_document(html);
    page.root_element()
        .descendent_elements()
        .filter(|e| {
            e.value().name() == "form"
                && e.attr("method").is_some_and(|m| m.trim().eq_ignore_ascii_case("post"))
        })
        .map(read_form)
        .collect()
}

fn read_form(element: ElementRef<'_>) -> Form {
    let mut form =
        Form { action: element.attr("action").unwrap_or_default().trim().to_owned(), ..Form::default() };
    for field in element.descendent_elements() {
        let name = field.attr("name").unwrap_or_default();
        if name.is_empty() || field.attr("disabled").is_some() {
            continue;
        }
        match field.value().name() {
            "input" => read_input(&mut form, field, name),
            "button" if name == CHOICE => form.choices.extend(field.attr("value").map(str::to_owned)),
            "textarea" => form.texts.push(name.to_owned()),
            "select" => read_select(&mut form, field, name),
            _ => {}
        }
    }
    form
}

fn read_input(form: &mut Form, field: ElementRef<'_>, name: &str) {
    let value = field.attr("value");
    match field.attr("type").unwrap_or("text").to_ascii_lowercase().as_str() {
        "radio" | "submit" | "checkbox" if name == CHOICE => form.choices.extend(value.map(str::to_owned)),
        "text" | "search" => form.texts.push(name.to_owned()),
        "radio" | "checkbox" if field.attr("checked").is_some() => {
            form.kept.push((name.to_owned(), value.unwrap_or("on").to_owned()));
        }
        "checkbox" if field.attr("required").is_some() => {
            form.ticks.push((name.to_owned(), value.unwrap_or("on").to_owned()));
        }
        "radio" | "checkbox" | "submit" | "button" | "image" | "reset" | "file" => {}
        _ => form.kept.push((name.to_owned(), value.unwrap_or_default().to_owned())),
    }
}

fn read_select(form: &mut Form, field: ElementRef<'_>, name: &str) {
    let options = field.descendent_elements().filter(|e| e.value().name() == "option");
    let mut values =
        options.map(|option| option.attr("value").map_or_else(|| option.text().collect(), str::to_owned));
    if name == CHOICE {
        form.choices.extend(values.filter(|value| !value.is_empty()));
    } else if let Some(first) = values.next() {
        form.kept.push((name.to_owned(), first));
    }
}

/// Every http link in a mail: those of the text first, then those that only
/// the HTML has.
pub fn links(text: &str, html: Option<&str>) -> Vec<String> {
    let mut links: Vec<String> = Vec::new();
    for (start, _) in text.match_indices("http://") {
        let rest = &text[start..];
        let end =
            rest.find(|c: char| c.is_whitespace() || "<>\"'()[]{}|\\^`*".contains(c)).unwrap_or(rest.len());
        links.push(rest[..end].trim_end_matches(['.', ',', ';', ':', '!', '?']).to_owned());
    }
    if let Some(html) = html {
        let page = Html::parse_document(html);
        let hrefs = page.root_element().descendent_elements().filter_map(|e| e.attr("href"));
        links.extend(hrefs.map(str::trim).filter(|href| href.starts_with("http://")).map(str::to_owned));
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_whatever_its_choices_are_made_of() {
        let html = r#"
            <form method=get action=/search><input name=choice type=radio value=wrong></form>
            <FORM Method="POST" action="/q/abc">
              <input type="hidden" name="csrf" value="k&amp;1">
              <label><input type=radio name=choice value=expected> Yes</label>
              <p><button name="choice" value="not_expected">No</button>
              <input type="submit" name="choice" value="unsure">
              <input name="ticket"><textarea name="note">
              </textarea>
              <input type=checkbox name=copy checked><input type=checkbox name=other>
              <input type=text name=gone disabled>
            </FORM>"#;
        let expected = Form {
            action: "/q/abc".into(),
            choices: vec!["expected".into(), "not_expected".into(), "unsure".into()],
            kept: vec![("csrf".into(), "k&1".into()), ("copy".into(), "on".into())],
            texts: vec!["ticket".into(), "note".into()],
            ticks: Vec::new(),
        };
        assert_eq!(form(html), Some(expected));
    }

    #[test]
    fn a_page_without_a_choice_to_send_has_no_form() {
        for html in [
            "",
            "<p>Already answered",
            "<form method=post><input name=note></form>",
            "<form><button name=choice value=a>",
        ] {
            assert_eq!(form(html), None, "{html:?}");
        }
    }

    #[test]
    fn a_page_that_wants_an_answer_confirmed_has_a_box_to_tick() {
        let html = r#"<form method=post><input type=hidden name=choice value=yes>
            <input type=hidden name=confirm value=k><input type=checkbox name=sure value=yes required>
            <input type=checkbox name=news></form>"#;
        let expected = Form {
            kept: vec![("choice".into(), "yes".into()), ("confirm".into(), "k".into())],
            ticks: vec![("sure".into(), "yes".into())],
            ..Form::default()
        };
        assert_eq!((form(html), confirmation(html)), (None, Some(expected)));
        assert_eq!(confirmation("<form method=post><input type=radio name=choice value=a></form>"), None);
    }

    #[test]
    fn links_end_where_the_sentence_goes_on() {
        let text =
            "Answer at http://127.0.0.1:1/q/a. Or (http://127.0.0.1:1/q/b), or <http://127.0.0.1:1/q/c>";
        let html = r#"<a href="http://127.0.0.1:1/q/d?x=1&amp;y=2">here</a> <a href="mailto:a@b">or</a>"#;
        let at = |path: &str| format!("http://127.0.0.1:1/q/{path}");
        assert_eq!(links(text, Some(html)), [at("a"), at("b"), at("c"), at("d?x=1&y=2")]);
    }
}
