//! Lists in field values (RFC 9110, 5.6.1): members between commas, quoted strings left whole.

/// The members of a list, without the space around them; empty ones too, which are for the taker to pass over.
pub(super) fn members(value: &[u8]) -> Members<'_> {
    Members(Some(value))
}

/// See [`members`].
#[derive(Debug, Clone)]
pub(super) struct Members<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Members<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let value = self.0?;
        let member = match end_of_member(value) {
            Some(end) => {
                self.0 = Some(&value[end + 1..]);
                &value[..end]
            }
            None => {
                self.0 = None;
                value
            }
        };
        Some(member.trim_ascii())
    }
}

/// Where the first comma stands that is in no quoted string (5.6.4).
fn end_of_member(value: &[u8]) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    value.iter().position(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' => return !quoted,
            _ => {}
        }
        false
    })
}

/// A member's name and what stands behind its first `=`, if there is one.
pub(super) fn name_and_value(member: &[u8]) -> (&[u8], Option<&[u8]>) {
    match member.iter().position(|byte| *byte == b'=') {
        Some(at) => (member[..at].trim_ascii(), Some(member[at + 1..].trim_ascii())),
        None => (member, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(value: &str) -> Vec<&str> {
        members(value.as_bytes()).map(|member| std::str::from_utf8(member).unwrap()).collect()
    }

    #[test]
    fn commas_part_members_unless_they_are_quoted() {
        assert_eq!(split(" a ,b=\"c, d\" ,, e"), ["a", "b=\"c, d\"", "", "e"]);
        assert_eq!(split("a=\"b\\\", c\", d"), ["a=\"b\\\", c\"", "d"]);
        assert_eq!(split("a=\"never closed, b"), ["a=\"never closed, b"]);
        assert_eq!(split(""), [""]);
    }

    #[test]
    fn a_value_stands_behind_the_first_equals_sign() {
        assert_eq!(name_and_value(b"max-age = 5=6"), (&b"max-age"[..], Some(&b"5=6"[..])));
        assert_eq!(name_and_value(b"public"), (&b"public"[..], None));
    }
}
