//! What a CA is to be shown, put where every node finds it that shares the directory: the CA asks whichever node its packets
//! reach. Each is there as long as its order holds on to it.

use std::{fs, path::PathBuf};

use super::{
    name::DnsName,
    proof::Proof,
    store::{Store, StoreError, read, write_whole},
};

/// The longest token that is looked for; CAs use 43 characters.
const MAX_TOKEN_BYTES: usize = 128;

/// Something that is shown until this is dropped.
#[derive(Debug)]
#[must_use = "it is shown only as long as this is held"]
pub struct Posted(PathBuf);

impl Store {
    /// Posts the answer to a token over HTTP.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn post_answer(&self, token: &Token<'_>, authorization: &str) -> Result<Posted, StoreError> {
        post(self.answer_path(token), authorization.as_bytes())
    }

    /// The answer to a token, if one is posted.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn posted_answer(&self, token: &Token<'_>) -> Result<Option<String>, StoreError> {
        Ok(read(&self.answer_path(token))?.and_then(|text| String::from_utf8(text).ok()))
    }

    /// Posts what a handshake for the challenge of a name is shown.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn post_proof(&self, name: &DnsName, proof: &Proof) -> Result<Posted, StoreError> {
        post(self.proof_path(name), proof.pem.as_bytes())
    }

    /// What is posted for a name's challenge.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn posted_proof(&self, name: &DnsName) -> Result<Option<Proof>, StoreError> {
        let text = read(&self.proof_path(name))?.and_then(|text| String::from_utf8(text).ok());
        Ok(text.and_then(|text| Proof::from_pem(text).ok()))
    }

    /// A token has no dot, a name has one: they cannot be confused.
    fn answer_path(&self, token: &Token<'_>) -> PathBuf {
        self.challenges().join(token.0)
    }

    fn proof_path(&self, name: &DnsName) -> PathBuf {
        self.challenges().join(format!("{name}.pem"))
    }
}

/// A challenge's token: what base64url has (RFC 8555, 8.1), so that a file can be called after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'t>(&'t str);

impl<'t> Token<'t> {
    /// The token, if it is one.
    #[must_use]
    pub fn parse(token: &'t str) -> Option<Self> {
        let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        ((1..=MAX_TOKEN_BYTES).contains(&token.len()) && token.bytes().all(is_base64url)).then_some(Self(token))
    }
}

fn post(path: PathBuf, content: &[u8]) -> Result<Posted, StoreError> {
    write_whole(&path, content)?;
    Ok(Posted(path))
}

impl Drop for Posted {
    fn drop(&mut self) {
        // What is left behind says nothing that is secret, and is tidied away.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_posted_by_one_node_is_seen_by_another_as_long_as_it_is_held() {
        let root = tempfile::tempdir().unwrap();
        let ca = "https://ca.example/".parse().unwrap();
        let nodes = [(); 2].map(|()| Store::open(root.path(), &ca).unwrap());
        let (name, token) = (DnsName::parse("a.example").unwrap(), Token::parse("tok-en_1").unwrap());
        let answer = nodes[0].post_answer(&token, "tok-en_1.thumbprint").unwrap();
        let proof = nodes[0].post_proof(&name, &Proof::new(&name, &[7; 32]).unwrap()).unwrap();
        assert_eq!(nodes[1].posted_answer(&token).unwrap().as_deref(), Some("tok-en_1.thumbprint"));
        assert!(nodes[1].posted_proof(&name).unwrap().is_some());
        drop((answer, proof));
        assert!(nodes[1].posted_answer(&token).unwrap().is_none());
        assert!(nodes[1].posted_proof(&name).unwrap().is_none());
    }

    #[test]
    fn a_token_is_nothing_that_leads_elsewhere() {
        for token in ["", "..", "../account.json", "a/b", "a.pem", "a\0b", "a%2fb", &"a".repeat(129)] {
            assert_eq!(Token::parse(token), None, "{token:?}");
        }
    }
}
