//! The activation between a block's two dense layers, by the names that transformers has for it.

/// What stands between a block's two dense layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// GELU in its tanh form, which both GPTs were trained with.
    GeluTanh,
    /// GELU by the error function.
    Gelu,
    /// [`Self::Gelu`], kept within ±10.
    ClippedGelu,
    /// x·σ(1.702·x).
    QuickGelu,
    /// max(x, 0).
    Relu,
    /// max(x, 0)².
    Relu2,
    /// max(x, 0), at most 6.
    Relu6,
    /// x, and a hundredth of it below 0.
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
    /// The normal distribution that stands in for squared ReLU (Ma et al. 2022).
    Laplace,
    /// √ln(1 + eˣ).
    SqrtSoftplus,
    /// x.
    Linear,
}

/// The names in `transformers/activations.py`; the first of each is the one that the normal form has. What learns parameters of
/// its own (`prelu`, `xielu`) is not among them.
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
    /// What GPT-2's `activation_function` means.
    pub fn of_gpt2(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, activation)| *activation)
    }

    /// What GPT-1's `afn` means: its `gelu` is the tanh form that is called `gelu_new` elsewhere.
    pub fn of_gpt1(name: &str) -> Option<Self> {
        match name {
            "gelu" | "gelu_new" => Some(Self::GeluTanh),
            "relu" => Some(Self::Relu),
            "silu" | "swish" => Some(Self::Silu),
            _ => None,
        }
    }

    /// GPT-2's name of it in the normal form.
    pub fn gpt2_name(self) -> &'static str {
        NAMES.iter().find(|(_, known)| *known == self).map_or("gelu_new", |(name, _)| name)
    }

    /// GPT-1's name of it in the normal form.
    pub fn gpt1_name(self) -> &'static str {
        if self == Self::GeluTanh { "gelu" } else { self.gpt2_name() }
    }
}
