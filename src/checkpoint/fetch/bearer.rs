//! The credential of a fetch, sent only to the endpoint.

use std::fmt;
use std::str::FromStr;

use reqwest::header::HeaderValue;
use zeroize::Zeroizing;

use super::error::FetchError;

/// An access token such as `HF_TOKEN`; never printed, wiped on drop.
///
/// The HTTP client's copy exists during a request and is not wiped.
#[derive(Clone)]
pub struct Bearer(Zeroizing<String>);

impl Bearer {
    /// Makes the `Authorization` header, marked as sensitive so that the client does not log it.
    pub(super) fn header(&self) -> Result<HeaderValue, FetchError> {
        let text = Zeroizing::new(format!("Bearer {}", self.0.as_str()));
        let mut value = HeaderValue::from_str(&text).map_err(|_| FetchError::Bearer)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl FromStr for Bearer {
    type Err = FetchError;

    fn from_str(text: &str) -> Result<Self, FetchError> {
        let text = text.trim();
        let usable = (1..=4096).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_graphic());
        if usable { Ok(Self(Zeroizing::new(text.to_owned()))) } else { Err(FetchError::Bearer) }
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_is_never_printed() {
        let bearer: Bearer = " hf_secret\n".parse().unwrap();
        assert_eq!(bearer.header().unwrap(), "Bearer hf_secret");
        assert_eq!(format!("{bearer:?}"), "Bearer(hidden)");
        assert!(!format!("{:?}", bearer.header().unwrap()).contains("secret"));
        let refusal = "hf_se cret".parse::<Bearer>().unwrap_err();
        insta::assert_snapshot!(refusal, @"invalid bearer: it must be 1 to 4096 visible ASCII characters without spaces");
    }
}
