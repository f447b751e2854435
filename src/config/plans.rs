//! Where the plan catalogue comes from.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::schema::Plans;
use crate::billing::Catalogue;

/// Why there is no catalogue.
#[derive(Debug, thiserror::Error)]
pub enum PlansError {
    /// The file could not be read.
    #[error("{}: cannot be read: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// What it says is not allowed.
    #[error("{}: {problem}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl Plans {
    /// The plans in effect: those of the file, read anew, or those that are compiled in.
    ///
    /// # Errors
    /// [`PlansError`], naming the file.
    pub fn catalogue(&self) -> Result<Catalogue, PlansError> {
        let Some(path) = &self.file else { return parsed(Path::new("config/plans.toml"), Catalogue::shipped()) };
        let text = fs::read_to_string(path).map_err(|cause| PlansError::Unreadable { path: path.clone(), cause })?;
        parsed(path, Catalogue::parse(&text))
    }
}

fn parsed<E: std::fmt::Display>(path: &Path, catalogue: Result<Catalogue, E>) -> Result<Catalogue, PlansError> {
    catalogue
        .map_err(|error| PlansError::Refused { path: path.to_owned(), problem: error.to_string().trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_plans_takes_the_place_of_those_compiled_in() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("plans.toml");
        let plans = Plans { file: Some(path.clone()) };
        let missing = plans.catalogue().unwrap_err().to_string();
        assert!(missing.contains("plans.toml: cannot be read"), "{missing}");

        fs::write(&path, "currency = 'EUR'\n[[plan]]\nid = 'solo'\nname = 'Solo'\nprice = '1.00'\nmonthly_credits = 5")
            .unwrap();
        let catalogue = plans.catalogue().unwrap();
        assert!(catalogue.plan("solo").is_some() && catalogue.plan("free").is_none());

        fs::write(&path, "currency = 'EUR'\n[[plan]]\nid = 'solo'\nname = 'Solo'\nprice = '1.00'").unwrap();
        let refused = plans.catalogue().unwrap_err().to_string();
        assert!(refused.contains("plans.toml: \"solo\": needs either"), "{refused}");
        assert!(Plans::default().catalogue().unwrap().plan("free").is_some());
    }
}
