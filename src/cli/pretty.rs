//! JSON with line breaks and indentation, and otherwise as it was written: the order of names, the digits of numbers
//! and the escapes in texts stay.

/// Lays out valid JSON; what is not valid comes out somehow.
pub(super) fn pretty(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    // Behind a bracket that opens: whether there is anything in it is not known yet.
    let mut is_open = false;
    for token in tokens(json) {
        let closes = matches!(token, "}" | "]");
        if closes {
            depth = depth.saturating_sub(1);
        }
        if is_open != closes && (is_open || closes) {
            new_line(&mut out, depth);
        }
        out.push_str(token);
        is_open = matches!(token, "{" | "[");
        match token {
            "{" | "[" => depth += 1,
            "," => new_line(&mut out, depth),
            ":" => out.push(' '),
            _ => {}
        }
    }
    out
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

/// Brackets, commas, colons, texts with their quotes, and whatever else stands between them.
fn tokens(json: &str) -> impl Iterator<Item = &str> {
    let mut rest = json;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let (token, behind) = rest.split_at_checked(end_of_token(rest))?;
        rest = behind;
        (!token.is_empty()).then_some(token)
    })
}

fn end_of_token(rest: &str) -> usize {
    let is_mark = |c: char| matches!(c, '{' | '}' | '[' | ']' | ',' | ':' | '"');
    match rest.chars().next() {
        Some('"') => {
            let mut is_escaped = false;
            let closing = rest.char_indices().skip(1).find(|(_, c)| {
                let is_closing = *c == '"' && !is_escaped;
                is_escaped = *c == '\\' && !is_escaped;
                is_closing
            });
            closing.map_or(rest.len(), |(at, _)| at + 1)
        }
        Some(c) if is_mark(c) => 1,
        _ => rest.find(|c: char| is_mark(c) || c.is_ascii_whitespace()).unwrap_or(rest.len()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    #[test]
    fn order_digits_and_escapes_stay_as_they_were_written() {
        let json = r#"{"z":1.50,"a":{"é\u00e9\"}":"{[,:\\"},"none":[],"empty":{} , "big":18446744073709551616}"#;
        let expected = r#"{
  "z": 1.50,
  "a": {
    "é\u00e9\"}": "{[,:\\"
  },
  "none": [],
  "empty": {},
  "big": 18446744073709551616
}"#;
        assert_eq!(pretty(json), expected);
        assert_eq!(pretty(expected), expected);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
            r#"["\\{}\[\],: ]{0,8}"#.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            let object = prop::collection::vec((".{0,4}", inner.clone()), 0..4);
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(Value::from),
                object.prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_is_laid_out_as_usual(value in any_json()) {
            prop_assert_eq!(pretty(&value.to_string()), serde_json::to_string_pretty(&value).unwrap());
        }

        #[test]
        fn nothing_is_fatal(text in r#"["\\{}\[\],:a é]{0,20}"#) {
            pretty(&text);
        }
    }
}
