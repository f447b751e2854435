//! Who asks: the operator by the configured token, an account by one of its API keys. An account sees what is its own and
//! nothing else: what belongs to others does not exist for it.

use std::{fmt, fs, net::SocketAddr, path::PathBuf};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header::AUTHORIZATION, request::Parts},
};
use subtle::ConstantTimeEq as _;

use super::{api::Api, problem::Problem};
use crate::{billing::AccountId, config, store::KeyHash, store::LedgerError};

/// What account keys begin with.
pub(super) const KEY_PREFIX: &str = "lmk_";

/// Hexadecimal digits behind [`KEY_PREFIX`]: 256 random bits.
pub(super) const KEY_DIGITS: usize = 64;

/// The operator's token, hashed.
#[derive(Clone)]
pub struct OperatorToken(Option<KeyHash>);

/// Why there is no operator's token though one is configured.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file could not be read.
    #[error("admin.token_file: {}: cannot be read: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// There is nothing in it.
    #[error("{place} is empty: put a token of your choice there, or leave the key out")]
    Empty {
        /// The key, and the file if there is one.
        place: String,
    },
    /// Others could guess it.
    #[error(
        "{place} has less than {least} characters, and {listen} can be reached by others than this machine: \
         put a longer one there, such as `openssl rand -hex 32` gives, or set admin.listen to 127.0.0.1",
        least = config::Admin::MIN_EXPOSED_TOKEN_BYTES
    )]
    TooShort {
        /// The key, and the file if there is one.
        place: String,
        /// The admin listener's address.
        listen: SocketAddr,
    },
}

impl OperatorToken {
    /// The token that the configuration has or names; `None` inside where it has none.
    ///
    /// # Errors
    /// [`TokenError`], naming the key.
    pub fn of(config: &config::Admin) -> Result<Self, TokenError> {
        let (text, place) = match (&config.token, &config.token_file) {
            (Some(token), _) => (token.clone(), "admin.token".to_owned()),
            (None, Some(path)) => {
                let unreadable = |cause| TokenError::Unreadable { path: path.clone(), cause };
                let place = format!("admin.token_file: {}", path.display());
                (fs::read_to_string(path).map_err(unreadable)?, place)
            }
            (None, None) => return Ok(Self(None)),
        };
        match text.trim() {
            "" => Err(TokenError::Empty { place }),
            token if config.is_exposed() && token.len() < config::Admin::MIN_EXPOSED_TOKEN_BYTES => {
                Err(TokenError::TooShort { place, listen: config.listen })
            }
            token => Ok(Self(Some(key_hash(token.as_bytes())))),
        }
    }

    /// Whether a request bears it.
    pub(super) fn is_in(&self, headers: &HeaderMap) -> bool {
        bearer(headers).is_some_and(|token| self.is(&key_hash(token)))
    }

    /// Compared in a time that tells nothing.
    fn is(&self, hash: &KeyHash) -> bool {
        self.0.as_ref().is_some_and(|own| own.ct_eq(hash).into())
    }
}

impl fmt::Debug for OperatorToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "OperatorToken(configured)" } else { "OperatorToken(none)" })
    }
}

/// What is kept and compared of a token or key.
pub(super) fn key_hash(key: &[u8]) -> KeyHash {
    blake3::hash(key).into()
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Caller {
    /// The operator.
    Operator,
    /// Whoever has a key of this account.
    Account(AccountId),
}

impl Caller {
    /// Whether what belongs to `account` may be seen.
    pub(super) fn may_see(&self, account: &AccountId) -> bool {
        match self {
            Self::Operator => true,
            Self::Account(own) => own == account,
        }
    }

    /// Lets pass whoever may see the account.
    ///
    /// # Errors
    /// 404, as if there were no such account
    pub(super) fn sees(&self, account: &AccountId) -> Result<(), Problem> {
        if self.may_see(account) { Ok(()) } else { Err(LedgerError::NoSuchAccount(account.to_string()).into()) }
    }

    /// Lets only the operator pass.
    ///
    /// # Errors
    /// 403
    pub(super) fn is_operator(&self) -> Result<(), Problem> {
        if *self == Self::Operator { Ok(()) } else { Err(Problem::operator_only()) }
    }

    /// Whose list it is that is asked for: an account's key lists its own account's.
    ///
    /// # Errors
    /// 404 where an account's key names another account
    pub(super) fn filter(&self, wanted: Option<AccountId>) -> Result<Option<AccountId>, Problem> {
        match (self, wanted) {
            (Self::Operator, wanted) => Ok(wanted),
            (Self::Account(own), None) => Ok(Some(own.clone())),
            (Self::Account(_), Some(wanted)) => self.sees(&wanted).map(|()| Some(wanted)),
        }
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        // Several parts of a handler ask, the first one looks.
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(known.clone());
        }
        let (caller, actor) = identify(&parts.headers, api).await?;
        parts.extensions.insert(actor);
        parts.extensions.insert(caller.clone());
        Ok(caller)
    }
}

/// Who asks, as the audit names him: `operator`, or `account/{id}/key/{key}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Actor(pub(super) String);

impl FromRequestParts<Api> for Actor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        Caller::from_request_parts(parts, api).await?;
        // Whoever looked at the caller has left it there.
        parts.extensions.get().cloned().ok_or_else(|| Problem::unauthorized("it is not known who asks"))
    }
}

async fn identify(headers: &HeaderMap, api: &Api) -> Result<(Caller, Actor), Problem> {
    let token = bearer(headers).ok_or_else(|| Problem::unauthorized("Authorization: Bearer … is needed"))?;
    let hash = key_hash(token);
    if api.operator.is(&hash) {
        return Ok((Caller::Operator, Actor("operator".to_owned())));
    }
    // Anything else cannot be a key: the ledger is not asked.
    if is_account_key(token)
        && let Some((account, key)) = api.ledger.account_of_key(&hash).await?
    {
        let actor = Actor(format!("account/{account}/key/{key}"));
        return Ok((Caller::Account(account), actor));
    }
    Err(Problem::unauthorized(match api.operator.0 {
        Some(_) => "this token is not known",
        None => {
            "this token is not known; no operator's token is configured: set admin.token or admin.token_file and restart"
        }
    }))
}

/// The token of the one `Authorization` field (RFC 6750, 2.1).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else { return None };
    let (scheme, token) = field.as_bytes().split_at_checked("Bearer".len())?;
    let token = token.strip_prefix(b" ")?.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"Bearer") && !token.is_empty()).then_some(token)
}

fn is_account_key(token: &[u8]) -> bool {
    let is_hex = |digits: &[u8]| digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    token.strip_prefix(KEY_PREFIX.as_bytes()).is_some_and(|digits| digits.len() == KEY_DIGITS && is_hex(digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(token: Option<&str>, file: Option<PathBuf>) -> Result<OperatorToken, TokenError> {
        let token = token.map(str::to_owned);
        OperatorToken::of(&config::Admin { token, token_file: file, ..config::Admin::default() })
    }

    #[test]
    fn the_token_stands_in_the_configuration_or_alone_in_a_file() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("token");
        fs::write(&path, "  secret\n").unwrap();
        for token in [of(Some("secret"), None).unwrap(), of(None, Some(path)).unwrap()] {
            assert!(token.is(&key_hash(b"secret")));
            assert!(!token.is(&key_hash(b"secret\n")) && !token.is(&key_hash(b"")));
        }
        assert!(!of(None, None).unwrap().is(&key_hash(b"")));
    }

    #[test]
    fn a_token_that_cannot_be_read_is_an_error_that_names_where() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("token");
        let message = |result: Result<OperatorToken, TokenError>| result.unwrap_err().to_string();
        let unreadable = message(of(None, Some(path.clone())));
        assert!(unreadable.starts_with("admin.token_file: ") && unreadable.contains("cannot be read"), "{unreadable}");
        fs::write(&path, "\n").unwrap();
        let empty = message(of(None, Some(path.clone())));
        assert!(empty.contains(path.to_str().unwrap()) && empty.contains("is empty"), "{empty}");
        assert!(message(of(Some(" "), None)).contains("admin.token is empty"));
    }

    #[test]
    fn a_token_that_others_could_guess_is_refused_where_they_can_reach_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("token");
        let at = |listen: &str| {
            let (listen, token_file) = (listen.parse().unwrap(), Some(path.clone()));
            OperatorToken::of(&config::Admin { listen, token_file, ..config::Admin::default() })
        };
        fs::write(&path, "0123456789abcdef0123456789abcde\n").unwrap();
        let short = at("0.0.0.0:9180").unwrap_err().to_string();
        assert!(short.contains("admin.token_file: ") && short.contains("openssl rand"), "{short}");
        assert!(!short.contains("0123456789"), "it shows the token");
        assert!(at("127.0.0.1:9180").is_ok() && at("[::1]:9180").is_ok());
        fs::write(&path, "0123456789abcdef0123456789abcdef\n").unwrap();
        assert!(at("0.0.0.0:9180").is_ok());
    }

    #[test]
    fn the_token_is_never_printed() {
        let token = of(Some("secret"), None).unwrap();
        assert_eq!(format!("{token:?}"), "OperatorToken(configured)");
    }

    #[test]
    fn only_one_bearer_token_is_one() {
        let found = |fields: &[&str]| {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(AUTHORIZATION, field.parse().unwrap());
            }
            bearer(&headers).map(|token| String::from_utf8_lossy(token).into_owned())
        };
        assert_eq!(found(&["Bearer abc"]).as_deref(), Some("abc"));
        assert_eq!(found(&["bearer   abc "]).as_deref(), Some("abc"));
        for none in [&[][..], &["Bearer"], &["Bearer "], &["Bearerabc"], &["Basic abc"], &["Bearer a", "Bearer b"]] {
            assert_eq!(found(none), None, "{none:?}");
        }
    }

    #[test]
    fn an_account_sees_its_own_and_nothing_else() {
        let (own, other): (AccountId, AccountId) = ("acme".parse().unwrap(), "other".parse().unwrap());
        let key = Caller::Account(own.clone());
        assert!(key.sees(&own).is_ok());
        let hidden = key.sees(&other).unwrap_err();
        let unknown = Problem::from(LedgerError::NoSuchAccount("other".into()));
        assert_eq!((hidden.status(), hidden.detail()), (unknown.status(), unknown.detail()));
        assert_eq!(key.filter(None).unwrap(), Some(own));
        assert!(key.filter(Some(other.clone())).is_err());
        assert_eq!(Caller::Operator.filter(Some(other.clone())).unwrap(), Some(other));
        assert_eq!(Caller::Operator.filter(None).unwrap(), None);
    }
}
