//! The public record of GPT-1's checkpoint and GPT-2's four checkpoints.
//!
//! Sources: for the shapes, OpenAI's `openai/gpt-2:src/model.py` and the TensorFlow indexes; for the digests, the files that OpenAI and
//! Hugging Face publish, confirmed by several independent manifests; for the dates, the history of `openai/gpt-2`. Digests that could not
//! be confirmed are absent; an import trusts such files on first use.

mod files;

use super::config::{Activation, Architecture, AttentionScale, ModelConfig};
use crate::digest::{Crc32c, Sha256Digest};

pub use files::{KnownFile, Publication};

/// A checkpoint on the public record.
#[derive(Debug)]
pub struct KnownCheckpoint {
    /// The id in Portcullis.
    pub id: &'static str,
    /// Other common names, in lower case.
    pub aliases: &'static [&'static str],
    /// OpenAI's first name of its size, before it corrected the counts.
    pub paper_label: &'static str,
    /// The date of release (ISO 8601).
    pub released: &'static str,
    /// The number of parameters.
    pub parameters: u64,
    /// The repository on the Hugging Face hub.
    pub hugging_face: &'static str,
    /// The folder of OpenAI's 2019 release, for GPT-2.
    pub openai: Option<&'static str>,
    /// The files whose digests are on record.
    pub files: &'static [KnownFile],
    architecture: Architecture,
    layers: usize,
    width: usize,
    heads: usize,
}

/// All known checkpoints in the order of their release.
pub const ALL: [KnownCheckpoint; 5] = [
    KnownCheckpoint {
        id: "gpt1-117m",
        aliases: &["gpt1", "gpt-1", "gpt", "openai-gpt", "openai-community/openai-gpt"],
        paper_label: "117M",
        released: "2018-06-11",
        parameters: 116_534_784,
        hugging_face: "openai-community/openai-gpt",
        openai: None,
        files: &[],
        architecture: Architecture::Gpt1,
        layers: 12,
        width: 768,
        heads: 12,
    },
    KnownCheckpoint {
        id: "gpt2-124m",
        aliases: &["gpt2", "gpt-2", "gpt2-small", "gpt2-117m", "124m", "117m", "openai-community/gpt2"],
        paper_label: "117M",
        released: "2019-02-14",
        parameters: 124_439_808,
        hugging_face: "openai-community/gpt2",
        openai: Some("124M"),
        files: files::GPT2_124M,
        architecture: Architecture::Gpt2,
        layers: 12,
        width: 768,
        heads: 12,
    },
    KnownCheckpoint {
        id: "gpt2-355m",
        aliases: &["gpt2-medium", "gpt2-345m", "355m", "345m", "openai-community/gpt2-medium"],
        paper_label: "345M",
        released: "2019-05-03",
        parameters: 354_823_168,
        hugging_face: "openai-community/gpt2-medium",
        openai: Some("355M"),
        files: files::GPT2_355M,
        architecture: Architecture::Gpt2,
        layers: 24,
        width: 1024,
        heads: 16,
    },
    KnownCheckpoint {
        id: "gpt2-774m",
        aliases: &["gpt2-large", "gpt2-762m", "774m", "762m", "openai-community/gpt2-large"],
        paper_label: "762M",
        released: "2019-08-20",
        parameters: 774_030_080,
        hugging_face: "openai-community/gpt2-large",
        openai: Some("774M"),
        files: files::GPT2_774M,
        architecture: Architecture::Gpt2,
        layers: 36,
        width: 1280,
        heads: 20,
    },
    KnownCheckpoint {
        id: "gpt2-1.5b",
        aliases: &[
            "gpt2-xl",
            "gpt2-1542m",
            "gpt2-1558m",
            "1.5b",
            "1542m",
            "1558m",
            "openai-community/gpt2-xl",
        ],
        paper_label: "1542M",
        released: "2019-11-05",
        parameters: 1_557_611_200,
        hugging_face: "openai-community/gpt2-xl",
        openai: Some("1558M"),
        files: files::GPT2_1_5B,
        architecture: Architecture::Gpt2,
        layers: 48,
        width: 1600,
        heads: 25,
    },
];

/// Finds a known checkpoint by its id or another common name, ignoring case.
pub fn find(name: &str) -> Option<&'static KnownCheckpoint> {
    static KNOWN: [KnownCheckpoint; 5] = ALL;
    let name = name.to_ascii_lowercase();
    KNOWN.iter().find(|known| known.id == name || known.aliases.contains(&name.as_str()))
}

impl KnownCheckpoint {
    /// Returns the published configuration.
    pub fn config(&self) -> ModelConfig {
        let (vocabulary, context, end_of_text) = match self.architecture {
            Architecture::Gpt2 => (50_257, 1024, Some(50_256)),
            Architecture::Gpt1 => (40_478, 512, None),
        };
        ModelConfig {
            architecture: self.architecture,
            vocabulary,
            context,
            width: self.width,
            layers: self.layers,
            heads: self.heads,
            inner: 4 * self.width,
            norm_epsilon: 1e-5,
            activation: Activation::GeluTanh,
            attention_scale: AttentionScale::default(),
            tied_head: true,
            begin_token: end_of_text,
            end_tokens: end_of_text.into_iter().collect(),
        }
    }

    /// Returns the record of a published file, if there is one.
    pub fn file(&self, publication: Publication, name: &str) -> Option<&'static KnownFile> {
        self.files.iter().find(|file| file.publication == publication && file.name == name)
    }

    /// Iterates over the digests on record of a publication, with file names.
    pub fn digests(&self, publication: Publication) -> impl Iterator<Item = (String, Sha256Digest)> {
        let files = self.files.iter().filter(move |file| file.publication == publication);
        files.filter_map(|file| Some((file.name.to_owned(), file.sha256.parse().ok()?)))
    }

    /// Returns the CRC-32C of a tensor in OpenAI's 2019 index, by its name in the normal form; `None` for the checkpoints whose index is
    /// not on record (774M, GPT-1).
    pub fn published_crc(&self, tensor: &str) -> Option<Crc32c> {
        const CHECKSUMS: &str = include_str!("openai_crc32c.txt");
        CHECKSUMS
            .lines()
            .skip_while(|line| line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) != Some(self.id))
            .skip(1)
            .take_while(|line| !line.starts_with('['))
            .filter_map(|line| line.split_once(' '))
            .find(|(name, _)| *name == tensor)
            .and_then(|(_, crc)| crc.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout;
    use super::*;
    use crate::name::CheckpointId;

    #[test]
    fn the_names_people_use_are_understood() {
        for (name, id) in [
            ("gpt2", "gpt2-124m"),
            ("117M", "gpt2-124m"),
            ("345M", "gpt2-355m"),
            ("GPT2-Medium", "gpt2-355m"),
            ("762M", "gpt2-774m"),
            ("1542M", "gpt2-1.5b"),
            ("1558M", "gpt2-1.5b"),
            ("gpt2-xl", "gpt2-1.5b"),
            ("openai-gpt", "gpt1-117m"),
        ] {
            assert_eq!(find(name).map(|known| known.id), Some(id), "{name}");
        }
        assert!(find("demo-small").is_none());
    }

    #[test]
    fn every_name_means_one_checkpoint() {
        let mut names: Vec<_> =
            ALL.iter().flat_map(|known| known.aliases.iter().copied().chain([known.id])).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn the_published_parameter_counts_follow_from_the_shapes() {
        for known in &ALL {
            assert_eq!(layout::parameter_count(&known.config()), known.parameters, "{}", known.id);
            assert!(known.id.parse::<CheckpointId>().is_ok());
        }
    }

    #[test]
    fn three_checkpoints_have_a_checksum_for_every_tensor() {
        for known in &ALL {
            let on_record = matches!(known.id, "gpt2-124m" | "gpt2-355m" | "gpt2-1.5b");
            for tensor in layout::tensors(&known.config()) {
                let crc = known.published_crc(&tensor.name);
                assert_eq!(crc.is_some(), on_record, "{} {}", known.id, tensor.name);
            }
        }
        // openai/gpt-2 issue 245 quotes this one in decimal: 1096252745.
        let known = find("1.5b").unwrap().published_crc("h.39.mlp.c_fc.weight");
        assert_eq!(known.unwrap().to_string(), format!("{:08x}", 1_096_252_745));
    }

    #[test]
    fn every_digest_on_record_is_one() {
        for file in ALL.iter().flat_map(|known| known.files) {
            assert!(file.sha256.parse::<Sha256Digest>().is_ok(), "{file:?}");
        }
    }
}
