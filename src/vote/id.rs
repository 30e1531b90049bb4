//! Names of texts: the SHA-256 of their bytes, in small hexadecimal digits.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::text::TextError;
use crate::trust::{hex, unhex};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The id of this text.
            pub fn of(text: &str) -> $name {
                $name(Sha256::digest(text).into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = TextError;

            /// Reads exactly the form that is printed.
            fn from_str(text: &str) -> Result<$name, TextError> {
                let id = unhex(text).map($name).filter(|id| id.to_string() == text);
                id.ok_or(TextError::Line("id"))
            }
        }
    };
}

id!(
    /// A network: the id of its genesis epoch.
    NetworkId
);
id!(
    /// An epoch, by its text.
    EpochId
);
id!(
    /// A proposal, by its text.
    ProposalId
);
id!(
    /// A piece of evidence, by its text.
    EvidenceId
);
id!(
    /// A state, by its text.
    StateHash
);
id!(
    /// The charter, by its text.
    CharterHash
);

impl EpochId {
    /// The network that this genesis epoch begins.
    pub fn begins(self) -> NetworkId {
        NetworkId(self.0)
    }
}

impl NetworkId {
    /// The id of its genesis epoch.
    pub fn genesis(self) -> EpochId {
        EpochId(self.0)
    }
}
