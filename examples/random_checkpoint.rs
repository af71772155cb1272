//! Writes a GPT-2 checkpoint of any size with random weights, as a Hugging Face folder.
//!
//! It has the published shapes and none of the published knowledge: enough to measure speed and memory, and to compare
//! one implementation's logits with another's, without downloading anything. The same arguments give the same bytes.
//! Weights are streamed; memory stays at a few MiB however large the model.
//!
//! ```text
//! cargo run --release --example random_checkpoint -- 124m /tmp/random-124m
//! cargo run --release --example random_checkpoint -- 2x64x4 /tmp/tiny --dtype bf16 --seed 7 --tokenizer DIR
//! ```
#![expect(clippy::print_stdout, reason = "an example tells its user what it wrote")]

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, bail, ensure};
use clap::{Parser, ValueEnum};
use half::{bf16, f16};
use portcullis::checkpoint::config::ModelConfig;
use portcullis::checkpoint::layout::{self, TensorSpec};
use portcullis::checkpoint::tensor_file::ElementType;
use serde_json::{Map, Value, json};

/// 256 bytes, 50,000 merges and `<|endoftext|>`, as in every published GPT-2.
const VOCABULARY: usize = 50_257;
const MERGES: usize = 50_000;
const END_OF_TEXT: &str = "<|endoftext|>";

/// Standard deviation of the weights, GPT-2's own initializer range.
const DEVIATION: f32 = 0.02;

/// Write a GPT-2 checkpoint with random weights.
#[derive(Parser)]
struct Arguments {
    /// `124m`, `355m`, `774m`, `1.5b`, or LAYERSxWIDTHxHEADS such as `2x64x4`.
    size: Size,
    /// The folder to write; created where it is missing.
    out: PathBuf,
    /// How the weights are stored.
    #[arg(long, value_enum, default_value = "f32")]
    dtype: Dtype,
    /// Another seed, other weights.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A folder with `vocab.json` and `merges.txt`, or `encoder.json` and `vocab.bpe`; made up where it is not given.
    #[arg(long)]
    tokenizer: Option<PathBuf>,
}

/// Blocks, width of the residual stream, attention heads.
#[derive(Clone, Copy)]
struct Size {
    layers: usize,
    width: usize,
    heads: usize,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = match text {
            "124m" => vec![12, 768, 12],
            "355m" => vec![24, 1024, 16],
            "774m" => vec![36, 1280, 20],
            "1.5b" => vec![48, 1600, 25],
            custom => custom
                .split('x')
                .map(|number| number.parse().map_err(|_| number))
                .collect::<Result<_, _>>()
                .map_err(|number| format!("`{number}` is not a number"))?,
        };
        match numbers[..] {
            [layers, width, heads] => Ok(Self { layers, width, heads }),
            _ => Err("neither a published size nor LAYERSxWIDTHxHEADS".to_owned()),
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Dtype {
    F32,
    F16,
    Bf16,
}

impl Dtype {
    fn element_type(self) -> ElementType {
        match self {
            Self::F32 => ElementType::F32,
            Self::F16 => ElementType::F16,
            Self::Bf16 => ElementType::BF16,
        }
    }
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let out = &arguments.out;
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;

    let config_json = hugging_face_config(arguments.size);
    let config = ModelConfig::from_hugging_face(config_json.as_bytes())?;
    fs::write(out.join("config.json"), &config_json)?;
    match &arguments.tokenizer {
        Some(folder) => copy_tokenizer(folder, out)?,
        None => make_up_tokenizer(out)?,
    }
    let tensors = layout::tensors(&config);
    write_weights(&arguments, &config, &tensors)
        .with_context(|| format!("cannot write the weights to {}", out.display()))?;
    println!(
        "{}: {} parameters in {}",
        out.display(),
        layout::parameter_count(&config),
        arguments.dtype.element_type()
    );
    Ok(())
}

/// `config.json` with the fields that Hugging Face's own GPT-2 repositories have.
fn hugging_face_config(size: Size) -> String {
    let end_of_text = VOCABULARY - 1;
    let config = json!({
        "activation_function": "gelu_new",
        "architectures": ["GPT2LMHeadModel"],
        "attn_pdrop": 0.1,
        "bos_token_id": end_of_text,
        "embd_pdrop": 0.1,
        "eos_token_id": end_of_text,
        "initializer_range": DEVIATION,
        "layer_norm_epsilon": 1e-05,
        "model_type": "gpt2",
        "n_ctx": 1024,
        "n_embd": size.width,
        "n_head": size.heads,
        "n_layer": size.layers,
        "n_positions": 1024,
        "resid_pdrop": 0.1,
        "summary_activation": null,
        "summary_first_dropout": 0.1,
        "summary_proj_to_labels": true,
        "summary_type": "cls_index",
        "summary_use_proj": true,
        "vocab_size": VOCABULARY,
    });
    format!("{config:#}\n")
}

/// Copies a published tokenizer under the names that Hugging Face gives its two files.
fn copy_tokenizer(from: &Path, out: &Path) -> anyhow::Result<()> {
    for (name, openai_name) in [("vocab.json", "encoder.json"), ("merges.txt", "vocab.bpe")] {
        let candidates = [from.join(name), from.join(openai_name)];
        let Some(source) = candidates.iter().find(|path| path.exists()) else {
            bail!("{} has neither {name} nor {openai_name}", from.display());
        };
        // Not `fs::copy`, which would also copy that the source is read-only.
        fs::write(out.join(name), fs::read(source)?)?;
    }
    Ok(())
}

/// Makes up a byte-level vocabulary: the bytes, then the first 50,000 pairs of bytes, then the end of text.
fn make_up_tokenizer(out: &Path) -> anyhow::Result<()> {
    let bytes = byte_alphabet();
    let pairs = bytes.iter().flat_map(|&first| bytes.iter().map(move |&second| (first, second))).take(MERGES);
    let mut merges = String::from("#version: 0.2\n");
    let mut tokens: Vec<String> = bytes.iter().map(char::to_string).collect();
    for (first, second) in pairs {
        merges.push_str(&format!("{first} {second}\n"));
        tokens.push(format!("{first}{second}"));
    }
    tokens.push(END_OF_TEXT.to_owned());
    let vocabulary: Map<String, Value> = tokens.into_iter().zip((0..).map(Value::from)).collect();
    ensure!(vocabulary.len() == VOCABULARY, "a token stands for two ids");
    fs::write(out.join("vocab.json"), serde_json::to_vec(&vocabulary)?)?;
    fs::write(out.join("merges.txt"), merges)?;
    Ok(())
}

/// The printable characters by which GPT-2's vocabulary spells the 256 bytes, in the order of its first 256 tokens.
fn byte_alphabet() -> Vec<char> {
    let printable = ('!'..='~').chain('\u{a1}'..='\u{ac}').chain('\u{ae}'..='\u{ff}');
    let stand_ins = '\u{100}'..'\u{144}';
    printable.chain(stand_ins).collect()
}

fn write_weights(arguments: &Arguments, config: &ModelConfig, tensors: &[TensorSpec]) -> io::Result<()> {
    let path = arguments.out.join("model.safetensors");
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let header = safetensors_header(tensors, arguments.dtype.element_type());
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    for (index, tensor) in tensors.iter().enumerate() {
        let mut random = SplitMix64::stream(arguments.seed, index as u64);
        let (mean, deviation) = distribution(&tensor.name, config.layers);
        for _ in 0..tensor.shape.iter().product() {
            let value = mean + deviation * random.nearly_normal();
            match arguments.dtype {
                Dtype::F32 => file.write_all(&value.to_le_bytes())?,
                Dtype::F16 => file.write_all(&f16::from_f32(value).to_le_bytes())?,
                Dtype::Bf16 => file.write_all(&bf16::from_f32(value).to_le_bytes())?,
            }
        }
    }
    file.into_inner()?.sync_all()
}

/// The header, padded with spaces so that the data begin at a multiple of eight bytes.
fn safetensors_header(tensors: &[TensorSpec], element_type: ElementType) -> String {
    let mut header = Map::new();
    header.insert("__metadata__".to_owned(), json!({"format": "pt"}));
    let mut begins = 0;
    for tensor in tensors {
        let ends = begins + tensor.shape.iter().product::<usize>() * element_type.size();
        let entry = json!({
            "dtype": element_type.to_string(),
            "shape": tensor.shape,
            "data_offsets": [begins, ends],
        });
        header.insert(tensor.name.clone(), entry);
        begins = ends;
    }
    let json = Value::Object(header).to_string();
    let padded = json.len().next_multiple_of(8);
    format!("{json:padded$}")
}

/// Mean and standard deviation of a tensor's weights: GPT-2's initialization, except that norms and biases, which begin
/// at exactly one and zero there, are spread a little, so that a program that forgets one of them is found out.
fn distribution(name: &str, layers: usize) -> (f32, f32) {
    let is_norm = name.contains("ln_");
    if is_norm && name.ends_with(".weight") {
        (1.0, DEVIATION)
    } else if name.ends_with("c_proj.weight") {
        (0.0, DEVIATION / (2.0 * layers as f32).sqrt())
    } else {
        (0.0, DEVIATION)
    }
}

/// Steele, Lea and Flood's SplitMix64: small, and the same on every machine for ever.
struct SplitMix64(u64);

impl SplitMix64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

    /// One independent stream a tensor.
    fn stream(seed: u64, index: u64) -> Self {
        let mut seeds = Self(seed);
        Self(seeds.next() ^ Self(index).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(Self::STEP);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number of mean 0 and deviation 1: the sum of four uniform ones (Irwin-Hall), near enough to a normal
    /// distribution and twenty times as fast.
    fn nearly_normal(&mut self) -> f32 {
        const QUARTER: f32 = 65_536.0;
        let bits = self.next();
        let sum: u64 = (0..4).map(|quarter| (bits >> (16 * quarter)) & 0xffff).sum();
        (sum as f32 - 2.0 * QUARTER) * (3f32.sqrt() / QUARTER)
    }
}
