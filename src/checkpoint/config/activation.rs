//! The activation function between a block's two dense layers, by its names in transformers.

/// The activation function between a block's two dense layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// GELU, tanh approximation; OpenAI trained both GPTs with it.
    GeluTanh,
    /// GELU, exact, with the error function.
    Gelu,
    /// [`Self::Gelu`], clipped to ±10.
    ClippedGelu,
    /// x·σ(1.702·x).
    QuickGelu,
    /// max(x, 0).
    Relu,
    /// max(x, 0)².
    Relu2,
    /// min(max(x, 0), 6).
    Relu6,
    /// x for x ≥ 0, x / 100 below 0.
    LeakyRelu,
    /// x·σ(x).
    Silu,
    /// x·tanh(ln(1 + eˣ)).
    Mish,
    /// x·min(max(x + 3, 0), 6) / 6.
    HardSwish,
    /// tanh(x).
    Tanh,
    /// σ(x) = 1 / (1 + e⁻ˣ).
    Sigmoid,
    /// A normal distribution function that approximates squared ReLU (Ma et al. 2022).
    Laplace,
    /// √ln(1 + eˣ).
    SqrtSoftplus,
    /// x.
    Linear,
}

/// The names in `transformers/activations.py`; the normal form uses the first name of each. Functions with learned parameters (`prelu`,
/// `xielu`) are not supported.
const NAMES: [(&str, Activation); 22] = [
    ("gelu_new", Activation::GeluTanh),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
    ("gelu_python_tanh", Activation::GeluTanh),
    ("gelu_fast", Activation::GeluTanh),
    ("gelu_accurate", Activation::GeluTanh),
    ("gelu", Activation::Gelu),
    ("gelu_python", Activation::Gelu),
    ("gelu_10", Activation::ClippedGelu),
    ("quick_gelu", Activation::QuickGelu),
    ("relu", Activation::Relu),
    ("relu2", Activation::Relu2),
    ("relu6", Activation::Relu6),
    ("leaky_relu", Activation::LeakyRelu),
    ("silu", Activation::Silu),
    ("swish", Activation::Silu),
    ("mish", Activation::Mish),
    ("hardswish", Activation::HardSwish),
    ("tanh", Activation::Tanh),
    ("sigmoid", Activation::Sigmoid),
    ("laplace", Activation::Laplace),
    ("sqrtsoftplus", Activation::SqrtSoftplus),
    ("linear", Activation::Linear),
];

impl Activation {
    /// Parses GPT-2's `activation_function`.
    pub fn from_gpt2_name(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, activation)| *activation)
    }

    /// Parses GPT-1's `afn`, whose `gelu` is the tanh form, called `gelu_new` elsewhere.
    pub fn from_gpt1_name(name: &str) -> Option<Self> {
        match name {
            "gelu" | "gelu_new" => Some(Self::GeluTanh),
            "relu" => Some(Self::Relu),
            "silu" | "swish" => Some(Self::Silu),
            _ => None,
        }
    }

    /// Returns the value of GPT-2's `activation_function` in the normal form.
    pub fn gpt2_name(self) -> &'static str {
        NAMES.iter().find(|(_, known)| *known == self).map_or("gelu_new", |(name, _)| name)
    }

    /// Returns the value of GPT-1's `afn` in the normal form.
    pub fn gpt1_name(self) -> &'static str {
        if self == Self::GeluTanh { "gelu" } else { self.gpt2_name() }
    }
}
