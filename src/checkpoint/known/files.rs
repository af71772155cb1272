//! SHA-256 digests of the published files.

/// One of the two publications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Publication {
    /// The safetensors repositories at `openai-community/*`.
    HuggingFace,
    /// OpenAI's TensorFlow checkpoints of 2019.
    Tensorflow,
}

/// A published file.
#[derive(Debug)]
pub struct KnownFile {
    /// The publication.
    pub publication: Publication,
    /// The file's name.
    pub name: &'static str,
    /// The SHA-256, in hexadecimal digits.
    pub sha256: &'static str,
}

const fn hub(name: &'static str, sha256: &'static str) -> KnownFile {
    KnownFile { publication: Publication::HuggingFace, name, sha256 }
}

const fn tensorflow(name: &'static str, sha256: &'static str) -> KnownFile {
    KnownFile { publication: Publication::Tensorflow, name, sha256 }
}

// All four sizes have the same vocabulary, under different names in the two publications.
const VOCABULARY: &str = "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783";
const MERGES: &str = "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5";
const CHECKPOINT: &str = "dd1b025d2e155283f5e300ce95bf6d5b6bc0f7fe010db73daa6975eb896ab9cb";

pub(super) const GPT2_124M: &[KnownFile] = &[
    hub("config.json", "0daed7749b4f02b8f76240d5444551d7b08712dab4d0adb8239c56ba823bb7b4"),
    hub("model.safetensors", "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707"),
    hub("vocab.json", VOCABULARY),
    hub("merges.txt", MERGES),
    tensorflow("checkpoint", CHECKPOINT),
    tensorflow("encoder.json", VOCABULARY),
    tensorflow("vocab.bpe", MERGES),
    tensorflow("hparams.json", "d9d56e4121c427164e0c55c6f03c08e1daf9002b9b672825112d19097b680318"),
    tensorflow("model.ckpt.index", "71916f763f9746f9b2a06b12d91996cf1084ae008d0424543d39391c5f2dc687"),
    tensorflow("model.ckpt.meta", "4668c448fa11531fd6700460487f73e82d3272960cea942252f8744bf225c77b"),
    tensorflow(
        "model.ckpt.data-00000-of-00001",
        "2060c885360cc0cf41d7a6dbc4d24b5127aae20260c8b5ae521b5a6578407118",
    ),
];

pub(super) const GPT2_355M: &[KnownFile] = &[
    hub("config.json", "ef1a44d889ad1a0acc7731c78134f1b87d2d222f110e97dd10fd4117331caf22"),
    hub("model.safetensors", "fc5a354a19255ad494f3d71549390baca1ccf61d1d822b9408971705c687c9cd"),
    hub("vocab.json", VOCABULARY),
    hub("merges.txt", MERGES),
    tensorflow("checkpoint", CHECKPOINT),
    tensorflow("encoder.json", VOCABULARY),
    tensorflow("vocab.bpe", MERGES),
    tensorflow("hparams.json", "310dfdb1f0c786b79d93459eaa470f3978d873bdc3e1f9fed1cad24d9dd0b1f6"),
    tensorflow("model.ckpt.index", "4490e7b1f5ec0abfc1e111fcd27cdda7cb280c597ba0a885c364134e62ce43aa"),
    tensorflow("model.ckpt.meta", "06e1a92057d2a4fbdc483bd1f61a26cc274f1c999b84c6d9e9c50aa8d5ead44a"),
    tensorflow(
        "model.ckpt.data-00000-of-00001",
        "22b4212602a087d1cdeec3509648f4d7b1f181eaa33ce0f3c688fbfb732d622f",
    ),
];

// No digest of 774M's TensorFlow metadata or data could be confirmed.
pub(super) const GPT2_774M: &[KnownFile] = &[
    hub("config.json", "7fccdcfd6622055342a734c663ee0b61ff4fd697f42467595df0bf4448c8c170"),
    hub("model.safetensors", "5f47f3e12f91cd33b662ce7e433b6150ad5512b5884a2cee961b50e9c3bbebce"),
    hub("vocab.json", VOCABULARY),
    hub("merges.txt", MERGES),
    tensorflow("encoder.json", VOCABULARY),
    tensorflow("vocab.bpe", MERGES),
];

// The digest of 1558M's TensorFlow data is not on record; its index, which is, has a CRC-32C for each tensor.
pub(super) const GPT2_1_5B: &[KnownFile] = &[
    hub("config.json", "be48115d52314bc27327e160bf10197760db02ea689d10adb24db4102edf7a8a"),
    hub("model.safetensors", "0f8b28eb05a8075f48b61b6f35332978c74fc7763fa9fb4051a1c30511736a6a"),
    hub("vocab.json", VOCABULARY),
    hub("merges.txt", MERGES),
    tensorflow("checkpoint", CHECKPOINT),
    tensorflow("encoder.json", VOCABULARY),
    tensorflow("vocab.bpe", MERGES),
    tensorflow("hparams.json", "647420ef8cf586f8933899000aa50c1996eaca50e4dc6fbd25bfdc64f4207bbf"),
    tensorflow("model.ckpt.index", "3a968cd212647a6007ddf7d6c9f52c9b158d0e9aabc9206390709c37d4175e5e"),
    tensorflow("model.ckpt.meta", "0bba0140dbafca5282c11610908aebcfec35070973c87836a81b985d2f620817"),
];
