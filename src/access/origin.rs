//! The address at which a client reaches a registry, bound into sign-ins so that a relay cannot reuse them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::checkpoint::fetch::BaseUrl;

/// Maximum length of an origin; a host name has at most 253 characters.
const MAX_BYTES: usize = 280;

/// Scheme, host and port as browsers compare them: `https://registry.example`, without the scheme's default port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Origin(String);

/// The text is not an [`Origin`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an origin: write `https://registry.example`, in lower case, with a port unless it is the default, and without a path"
)]
pub struct OriginError;

impl From<&BaseUrl> for Origin {
    fn from(address: &BaseUrl) -> Self {
        Self(address.origin())
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        if text.len() > MAX_BYTES {
            return Err(OriginError);
        }
        let origin = Self::from(&text.parse::<BaseUrl>().map_err(|_| OriginError)?);
        // There is one form, so equal origins have equal texts.
        if origin.0 == text { Ok(origin) } else { Err(OriginError) }
    }
}

impl TryFrom<String> for Origin {
    type Error = OriginError;

    fn try_from(text: String) -> Result<Self, OriginError> {
        text.parse()
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_one_form() {
        for text in ["https://registry.example", "http://127.0.0.1:7415", "https://[::1]:8443"] {
            assert_eq!(text.parse::<Origin>().unwrap().to_string(), text);
        }
        let of = |text: &str| Origin::from(&text.parse::<BaseUrl>().unwrap()).to_string();
        assert_eq!(of("HTTPS://Registry.Example:443/below/"), "https://registry.example");
        for other in [
            "https://registry.example/",
            "https://registry.example:443",
            "https://Registry.example",
            "https://registry.example/below",
            "https://ada@registry.example",
            "ftp://registry.example",
            "registry.example",
            "https://registry.example\n",
            "",
        ] {
            assert_eq!(other.parse::<Origin>(), Err(OriginError), "{other}");
        }
    }
}
