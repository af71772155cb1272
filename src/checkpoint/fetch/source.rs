//! Sources of published checkpoints: a Hugging Face repository, or OpenAI's 2019 bucket.
//!
//! Names become part of URLs and messages, so only characters without a special meaning in either are accepted. A hostile name can only
//! lead to a missing page.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use reqwest::Url;

use super::error::{FetchError, excerpt};

/// Hugging Face's default address.
const HUGGING_FACE: &str = "https://huggingface.co";
/// The address of OpenAI's 2019 files.
const OPENAI: &str = "https://openaipublic.blob.core.windows.net/gpt-2/models";

/// A published checkpoint, as written on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteSource {
    /// `hf:<org>/<name>[@revision]`, or a bare legacy name such as `hf:gpt2`.
    HuggingFace {
        /// The repository.
        repository: String,
        /// A branch, tag or commit; `main` by default.
        revision: String,
    },
    /// `openai:<size>`: the TensorFlow files of 2019.
    OpenAi(OpenAiSize),
}

/// The four sizes of GPT-2, by the corrected counts of parameters that the bucket uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenAiSize {
    /// 124M, called 117M at first.
    Small,
    /// 355M, called 345M at first.
    Medium,
    /// 774M, called 762M at first.
    Large,
    /// 1558M, called 1542M at first.
    Xl,
}

impl OpenAiSize {
    /// Returns the name of the size's folder.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Small => "124M",
            Self::Medium => "355M",
            Self::Large => "774M",
            Self::Xl => "1558M",
        }
    }
}

impl FromStr for RemoteSource {
    type Err = FetchError;

    fn from_str(text: &str) -> Result<Self, FetchError> {
        let refuse = |rule| FetchError::Source { text: excerpt(text), rule };
        match text.split_once(':') {
            Some(("hf", rest)) => {
                let (repository, revision) = rest.split_once('@').unwrap_or((rest, "main"));
                if !is_repository(repository) {
                    return Err(refuse(
                        "a repository is `hf:<org>/<name>`, each of a-z, A-Z, 0-9, `.`, `-` and `_`",
                    ));
                }
                if !is_revision(revision) {
                    return Err(refuse(
                        "a revision is a branch, tag or commit of a-z, A-Z, 0-9, `.`, `-`, `_` and `/`",
                    ));
                }
                Ok(Self::HuggingFace { repository: repository.to_owned(), revision: revision.to_owned() })
            }
            Some(("openai", size)) => match size {
                "124M" | "117M" => Ok(Self::OpenAi(OpenAiSize::Small)),
                "355M" | "345M" => Ok(Self::OpenAi(OpenAiSize::Medium)),
                "774M" | "762M" => Ok(Self::OpenAi(OpenAiSize::Large)),
                "1558M" | "1542M" => Ok(Self::OpenAi(OpenAiSize::Xl)),
                _ => Err(refuse("OpenAI published `openai:124M`, `355M`, `774M` and `1558M`")),
            },
            _ => Err(refuse("use `hf:<org>/<name>[@revision]` or `openai:<size>`")),
        }
    }
}

impl fmt::Display for RemoteSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HuggingFace { repository, revision } => write!(f, "hf:{repository}@{revision}"),
            Self::OpenAi(size) => write!(f, "openai:{}", size.as_str()),
        }
    }
}

/// Whether a text is a plain file name: no separators, not hidden, not `..`.
pub(super) fn is_plain_name(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.starts_with('.')
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_'))
}

fn is_repository(text: &str) -> bool {
    text.split('/').count() <= 2 && text.split('/').all(is_plain_name)
}

fn is_revision(text: &str) -> bool {
    text.len() <= 256 && text.split('/').all(is_plain_name)
}

/// The base address of a source's files: the default, `HF_ENDPOINT` or a mirror.
///
/// https, or http if the address says so. It has no query, fragment or credentials, so it can be displayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(Url);

impl BaseUrl {
    /// Returns the publisher's address.
    pub(super) fn default_for(source: &RemoteSource) -> Result<Self, FetchError> {
        match source {
            RemoteSource::HuggingFace { .. } => HUGGING_FACE.parse(),
            RemoteSource::OpenAi(_) => OPENAI.parse(),
        }
    }

    /// Appends path segments, each escaped: a `/` in a segment does not separate.
    pub fn join(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Whether `url` has the same origin (RFC 6454): scheme, host and port.
    pub fn is_origin_of(&self, url: &Url) -> bool {
        self.0.origin() == url.origin()
    }

    /// Returns the origin (RFC 6454): scheme, host and port.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// Whether credentials may be sent to this address: https, or this machine.
    pub fn may_receive_credentials(&self) -> bool {
        self.0.scheme() == "https" || is_loopback(&self.0)
    }

    /// Whether the host is this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }

    /// Whether it is plain http to another machine.
    pub(super) fn is_plain(&self) -> bool {
        !self.may_receive_credentials()
    }
}

impl FromStr for BaseUrl {
    type Err = FetchError;

    fn from_str(text: &str) -> Result<Self, FetchError> {
        let refuse = |rule| FetchError::Address { rule };
        let url = Url::parse(text.trim())
            .map_err(|_| refuse("write it in full, as in `https://mirror.example/models`"))?;
        if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none() {
            return Err(refuse("it must begin with `https://` or `http://`"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("it must not contain a user name or password"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("it must not contain `?` or `#`"));
        }
        Ok(Self(url))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

/// Whether the host of `url` is this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_as_people_write_them() {
        for (text, shown) in [
            ("hf:openai-community/gpt2-xl", "hf:openai-community/gpt2-xl@main"),
            ("hf:gpt2", "hf:gpt2@main"),
            ("hf:a/b@refs/pr/7", "hf:a/b@refs/pr/7"),
            ("openai:124M", "openai:124M"),
            ("openai:117M", "openai:124M"),
            ("openai:345M", "openai:355M"),
            ("openai:762M", "openai:774M"),
            ("openai:1542M", "openai:1558M"),
        ] {
            assert_eq!(text.parse::<RemoteSource>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_could_lead_elsewhere_is_refused() {
        for text in [
            "",
            "hf:",
            "hf:/",
            "hf:a/",
            "hf:a/b/c",
            "hf:../b",
            "hf:a/..",
            "hf:a/b@",
            "hf:a/b@x/../y",
            "hf:a/b@x/",
            "hf:a b",
            "hf:a?b",
            "hf:a%2fb",
            "hf:é/b",
            "openai:",
            "openai:124m",
            "https://x/y",
            "s3:a/b",
        ] {
            assert!(text.parse::<RemoteSource>().is_err(), "{text}");
        }
        let refusal = |text: &str| text.parse::<RemoteSource>().unwrap_err().to_string();
        insta::assert_snapshot!(refusal("gpt2"), @"`gpt2` is not a source: use `hf:<org>/<name>[@revision]` or `openai:<size>`");
        insta::assert_snapshot!(refusal("openai:9B"), @"`openai:9B` is not a source: OpenAI published `openai:124M`, `355M`, `774M` and `1558M`");
        insta::assert_snapshot!(refusal("hf:a/../b"), @"`hf:a/../b` is not a source: a repository is `hf:<org>/<name>`, each of a-z, A-Z, 0-9, `.`, `-` and `_`");
        insta::assert_snapshot!(refusal("hf:a/b@\n"), @r"`hf:a/b@\n` is not a source: a revision is a branch, tag or commit of a-z, A-Z, 0-9, `.`, `-`, `_` and `/`");
    }

    #[test]
    fn addresses_keep_their_path_and_refuse_secrets() {
        let base: BaseUrl = "https://mirror.example:8443/hf/".parse().unwrap();
        let url = base.join(&["a", "resolve", "refs/pr/1", "x.json"]);
        assert_eq!(url.as_str(), "https://mirror.example:8443/hf/a/resolve/refs%2Fpr%2F1/x.json");
        let refusal = |text: &str| text.parse::<BaseUrl>().unwrap_err().to_string();
        insta::assert_snapshot!(refusal("mirror.example"), @"invalid address: write it in full, as in `https://mirror.example/models`");
        insta::assert_snapshot!(refusal("localhost:80"), @"invalid address: it must begin with `https://` or `http://`");
        insta::assert_snapshot!(refusal("https://me:secret@x.example"), @"invalid address: it must not contain a user name or password");
        insta::assert_snapshot!(refusal("https://x.example/?sig=secret"), @"invalid address: it must not contain `?` or `#`");
    }

    #[test]
    fn secrets_travel_over_https_or_stay_on_this_machine() {
        for (text, safe) in [
            ("https://x.example", true),
            ("http://127.8.9.1:80", true),
            ("http://[::1]", true),
            ("http://localhost", true),
            ("http://x.example", false),
            ("http://localhost.x.example", false),
            ("http://127.0.0.1.x.example", false),
        ] {
            assert_eq!(text.parse::<BaseUrl>().unwrap().may_receive_credentials(), safe, "{text}");
        }
    }
}
