//! What is wrong with a provider's settings, in words for the operator.

use std::fmt;

/// One thing wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The key it is about, as the configuration calls it below the provider's name.
    pub key: &'static str,
    /// What is wrong.
    pub text: String,
    /// What to do.
    pub remedy: String,
}

impl Fault {
    pub(super) fn new(key: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Fault {
        Fault { key, text: text.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (remedy: {})", self.key, self.text, self.remedy)
    }
}

/// Why a provider cannot be used.
#[derive(Debug)]
pub enum BuildError {
    /// Its settings are wrong; never empty.
    Settings(Vec<Fault>),
    /// There can be no thread for it.
    Thread(std::io::Error),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::Settings(faults) => {
                for (index, fault) in faults.iter().enumerate() {
                    let separator = if index > 0 { "; " } else { "" };
                    write!(f, "{separator}{fault}")?;
                }
                Ok(())
            }
            BuildError::Thread(error) => write!(f, "there can be no thread for it: {error}"),
        }
    }
}

impl std::error::Error for BuildError {}
