//! What the program's exit code tells a script.

use std::process::ExitCode;

use reqwest::StatusCode;

use super::{client::AskError, instance::Misuse};

/// For `--help`; docs/cli.md has the same.
pub(super) const CODES: &str = "\
Exit codes:
  0  done
  1  something failed, or the ledger does not agree
  2  wrong usage
  3  the instance cannot be reached, or failed (5xx)
  4  refused: not valid or not allowed (400, 401, 403, 422)
  5  not found (404)
  6  conflict (409), or too few credits (402)";

/// Why the program ends before it has done what it was to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Exit {
    Failed = 1,
    Misused = 2,
    Unreachable = 3,
    Refused = 4,
    NotFound = 5,
    Conflict = 6,
}

impl Exit {
    pub(super) const fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            400 | 401 | 403 | 422 => Self::Refused,
            404 => Self::NotFound,
            402 | 409 => Self::Conflict,
            500.. => Self::Unreachable,
            _ => Self::Failed,
        }
    }

    pub(super) fn of(error: &anyhow::Error) -> Self {
        if let Some(error) = error.downcast_ref::<AskError>() {
            return error.exit();
        }
        if error.is::<Misuse>() { Self::Misused } else { Self::Failed }
    }
}

/// What the program is to end with after this error.
#[must_use]
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(Exit::of(error) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_the_exit_code_that_the_help_names() {
        for (status, exit) in [
            (301, Exit::Failed),
            (400, Exit::Refused),
            (401, Exit::Refused),
            (402, Exit::Conflict),
            (403, Exit::Refused),
            (404, Exit::NotFound),
            (405, Exit::Failed),
            (409, Exit::Conflict),
            (413, Exit::Failed),
            (422, Exit::Refused),
            (429, Exit::Failed),
            (500, Exit::Unreachable),
            (503, Exit::Unreachable),
            (599, Exit::Unreachable),
        ] {
            assert_eq!(Exit::of_status(StatusCode::from_u16(status).unwrap()), exit, "{status}");
        }
    }

    #[test]
    fn an_error_keeps_its_exit_code_under_what_is_said_of_it() {
        let misuse = anyhow::Error::new(Misuse("no token".to_owned())).context("asking");
        assert_eq!(Exit::of(&misuse), Exit::Misused);
        assert_eq!(Exit::of(&anyhow::anyhow!("disk full")), Exit::Failed);
    }

    #[test]
    fn the_page_on_the_command_line_has_the_same_codes_as_the_help() {
        let page = include_str!("../../docs/cli.md");
        for line in CODES.lines().skip(1) {
            let (code, meaning) = line.trim().split_once("  ").unwrap();
            assert!(page.contains(&format!("| {code} | {meaning} |")), "{line}");
        }
    }
}
