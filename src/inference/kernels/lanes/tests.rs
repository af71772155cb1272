//! Compares every operation of every level with plain Rust, on edge cases.
#![expect(clippy::too_many_lines, reason = "one list of operations, and one of their expected results")]
#![expect(
    clippy::excessive_precision,
    reason = "numbers are written as they are, halfway between two f16 or bf16 numbers"
)]

use super::{Kernel, LANES, Lanes, Level};

const EDGES: [f32; 48] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    1.5,
    2.5,
    -0.5,
    -1.5,
    -2.5,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::MAX,
    f32::MIN,
    f32::MIN_POSITIVE,
    -f32::MIN_POSITIVE,
    1e-45,
    -1e-45,
    1e-40,
    65504.0,
    65519.99,
    65520.0,
    -65520.0,
    65536.0,
    6e-8,
    2.9802322e-8,
    2.980_232_8e-8,
    8.9e-8,
    6.1e-5,
    6.0975552e-5,
    127.0,
    -128.0,
    126.5,
    -127.5,
    1.00390625,
    1.01171875,
    1.0039063,
    3.25,
    0.333333,
    2147483520.0,
    -2147483648.0,
    8388607.5,
    8388608.5,
    1e30,
    1e-30,
    1.00048828125,
    1.00146484375,
    2049.0,
];

struct Ops<'a>(&'a [f32; LANES], &'a [f32; LANES], &'a [f32; LANES], u32);

#[derive(Default, Debug)]
struct Out {
    floats: Vec<(&'static str, [f32; LANES])>,
    ints: Vec<(&'static str, [i32; LANES])>,
    f16s: [u16; LANES],
    bf16s: [u32; 8],
    pairs: [u32; LANES],
    bytes: [u32; 4],
    sum: f32,
    greatest: f32,
    sum_int: i32,
    transposed: Vec<[f32; LANES]>,
}

fn word(i: usize, s: u32) -> u32 {
    let x = (i as u32).wrapping_add(s).wrapping_mul(2_654_435_761);
    x ^ x >> 13
}

fn weights(seed: u32) -> [u8; 64] {
    std::array::from_fn(|i| match (i as u32 + seed) % 5 {
        0 => 255,
        1 => 0,
        _ => word(i, seed) as u8,
    })
}

fn bf16s(seed: u32) -> [u32; LANES] {
    std::array::from_fn(|i| {
        let b = |k| (((word(2 * i + k, seed) as i32 as f32) / 2f32.powi(30)).to_bits() >> 16) & 0xffff;
        b(0) | b(1) << 16
    })
}

impl Kernel for Ops<'_> {
    type Output = Out;
    #[inline(always)]
    fn run<L: Lanes>(self, l: L) -> Out {
        let Self(a0, b0, c0, seed) = self;
        let mut out = Out::default();
        let (a, b, c) = (l.load(a0), l.load(b0), l.load(c0));
        for (name, x) in [
            ("add", l.add(a, b)),
            ("sub", l.sub(a, b)),
            ("mul", l.mul(a, b)),
            ("div", l.div(a, b)),
            ("max", l.max(a, b)),
            ("min", l.min(a, b)),
            ("mul_add", l.mul_add(a, b, c)),
            ("splat", l.splat(a0[3])),
            ("zero", l.zero()),
        ] {
            let mut to = [9.0; LANES];
            l.store(x, &mut to);
            out.floats.push((name, to));
        }
        for n in -127..=127_i32 {
            let shifted = l.splat(n as f32 + 12_582_912.0);
            let mut to = [9.0; LANES];
            l.store(l.power_of_two(shifted), &mut to);
            assert!(to.iter().all(|&x| x.to_bits() == ((n + 127) as u32) << 23), "power {n}");
        }
        let mut narrowed = [0; LANES];
        l.store_f16(a, &mut narrowed);
        out.f16s = narrowed;
        for first in (seed as usize % 97 * 16..65536).step_by(97 * 16) {
            let bits: [u16; LANES] = std::array::from_fn(|i| (first + i) as u16);
            let mut to = [0.0; LANES];
            l.store(l.load_f16(&bits), &mut to);
            for (x, bits) in to.iter().zip(bits) {
                let exact = half::f16::from_bits(bits).to_f32();
                assert!(x.to_bits() == exact.to_bits() || x.is_nan() && exact.is_nan(), "f16 {bits:x}");
            }
        }
        let bits: [u16; LANES] = std::array::from_fn(|i| word(i, seed) as u16);
        let mut to = [0.0; LANES];
        l.store(l.load_bf16(&bits), &mut to);
        assert!(to.iter().zip(bits).all(|(x, b)| x.to_bits() == u32::from(b) << 16));
        out.bf16s = l.to_bf16(a);
        out.pairs = l.to_bf16_pairs(a, b);
        let small = l.load(&a0.map(|x| if x.abs() < 2.0e9 { x } else { 7.25 }));
        let (i, j) = (l.round(small), l.splat_int(word(5, seed) as i32));
        for (name, x) in [
            ("round", i),
            ("splat_int", j),
            ("add_int", l.add_int(i, j)),
            ("shift_8", l.shift_left(i, 8)),
            ("shift_16", l.shift_left(i, 16)),
            ("shift_4", l.shift_left(i, 4)),
            ("shift_0", l.shift_left(i, 0)),
        ] {
            let mut to = [9; LANES];
            l.store_int(x, &mut to);
            out.ints.push((name, to));
        }
        let mut to = [9.0; LANES];
        l.store(l.to_float(l.add_int(i, j)), &mut to);
        out.floats.push(("to_float", to));
        let in_bytes = l.round(l.load(&a0.map(|x| if x.abs() <= 127.0 { x } else { -128.0 })));
        out.bytes = l.to_i8(in_bytes);
        let w = l.load_u8(&weights(seed));
        let (low, high) = l.split_u4(w);
        let x = match seed % 4 {
            0 => 0x8080_8080,
            1 => 0x7f7f_7f7f,
            2 => 0x807f_01ff,
            _ => word(1, seed),
        };
        for (name, w) in [("dot_u8_i8", w), ("dot_low", low), ("dot_high", high)] {
            let mut to = [9; LANES];
            l.store_int(l.dot_u8_i8(w, x, j), &mut to);
            out.ints.push((name, to));
        }
        let mut to = [9.0; LANES];
        l.store(
            l.dot_bf16(l.load_bf16_pairs(&bf16s(seed)), bf16s(seed ^ 99)[0], l.load(&[0.375; LANES])),
            &mut to,
        );
        out.floats.push(("dot_bf16", to));
        let rows: [L::F; LANES] =
            std::array::from_fn(|i| l.load(&std::array::from_fn(|j| (i * LANES + j) as f32)));
        out.transposed = l
            .transpose(rows)
            .iter()
            .map(|&x| {
                let mut to = [0.0; LANES];
                l.store(x, &mut to);
                to
            })
            .collect();
        let tame = l.load(&a0.map(|x| if x.abs() < 1e6 { x } else { 1.0 }));
        (out.sum, out.greatest, out.sum_int) = (l.sum(tame), l.greatest(tame), l.sum_int(in_bytes));
        out
    }
}

fn same(x: f32, y: f32) -> bool {
    x.to_bits() == y.to_bits() || x.is_nan() && y.is_nan()
}

#[test]
fn every_operation_agrees_with_plain_rust() {
    for seed in 0..600_u32 {
        let pick = |k: u32| -> [f32; LANES] {
            std::array::from_fn(|i| {
                let w = word(i, seed * 3 + k);
                match w % 4 {
                    0 => f32::from_bits(word(i + 100, seed * 3 + k)),
                    1 => (w as i32 as f32) / 2f32.powi(24),
                    _ => EDGES[(w / 7) as usize % EDGES.len()],
                }
            })
        };
        let no_nan = |x: [f32; LANES]| x.map(|x| if x.is_nan() { 1.25 } else { x });
        let (mut a, mut b, c) = (pick(0), pick(1), no_nan(pick(2)));
        let nan = seed % 6 == 0;
        if nan {
            a[seed as usize % 16] = f32::NAN;
            b[(seed as usize / 6) % 16] = f32::NAN
        } else {
            a = no_nan(a);
            b = no_nan(b)
        }
        for level in Level::all() {
            let name = level.name();
            let out = level.run(Ops(&a, &b, &c, seed));
            for (op, y) in &out.floats {
                for i in 0..LANES {
                    let want = match *op {
                        "add" => a[i] + b[i],
                        "sub" => a[i] - b[i],
                        "mul" => a[i] * b[i],
                        "div" => a[i] / b[i],
                        "max" => {
                            if a[i] > b[i] {
                                a[i]
                            } else {
                                b[i]
                            }
                        }
                        "min" => {
                            if a[i] < b[i] {
                                a[i]
                            } else {
                                b[i]
                            }
                        }
                        "mul_add" if name == "portable" => a[i] * b[i] + c[i],
                        "mul_add" => a[i].mul_add(b[i], c[i]),
                        "splat" => a[3],
                        "zero" => 0.0,
                        "to_float" => {
                            let s = if a[i].abs() < 2.0e9 { a[i] } else { 7.25 };
                            let s = if s.is_nan() { continue } else { s };
                            (s.round_ties_even() as i32).wrapping_add(word(5, seed) as i32) as f32
                        }
                        "dot_bf16" => {
                            let (w, x) = (bf16s(seed)[i], bf16s(seed ^ 99)[0]);
                            let f = |b: u32| f64::from(f32::from_bits(b & 0xffff_0000));
                            let want = 0.375 + f(w << 16) * f(x << 16) + f(w) * f(x);
                            assert!(
                                (f64::from(y[i]) - want).abs() <= 1e-6 * (1.0 + want.abs()),
                                "{name} dot_bf16 {seed}"
                            );
                            continue;
                        }
                        _ => unreachable!(),
                    };
                    assert!(
                        same(y[i], want),
                        "{name} {op} {seed}: {} for {want}: {} {} {}",
                        y[i],
                        a[i],
                        b[i],
                        c[i]
                    );
                }
            }
            for (op, y) in &out.ints {
                for i in 0..LANES {
                    let s = if a[i].abs() < 2.0e9 { a[i] } else { 7.25 };
                    let r = s.round_ties_even() as i32;
                    let j = word(5, seed) as i32;
                    let x = match seed % 4 {
                        0 => 0x8080_8080,
                        1 => 0x7f7f_7f7f,
                        2 => 0x807f_01ff,
                        _ => word(1, seed),
                    };
                    let dot = |f: &dyn Fn(u8) -> u8| {
                        (0..4).fold(j, |sum, k| {
                            sum.wrapping_add(
                                i32::from(f(weights(seed)[4 * i + k])) * i32::from(x.to_le_bytes()[k] as i8),
                            )
                        })
                    };
                    let want = match *op {
                        "round" => r,
                        "splat_int" => j,
                        "add_int" => r.wrapping_add(j),
                        "shift_8" => r << 8,
                        "shift_16" => r << 16,
                        "shift_4" => r << 4,
                        "shift_0" => r,
                        "dot_u8_i8" => dot(&|w| w),
                        "dot_low" => dot(&|w| w & 15),
                        "dot_high" => dot(&|w| w >> 4),
                        _ => unreachable!(),
                    };
                    assert!(y[i] == want, "{name} {op} {seed}: {} for {want}", y[i]);
                }
            }
            let to_bf16_bits = |x: f32| half::bf16::from_f32(x).to_bits();
            for i in 0..LANES {
                let h = half::f16::from_f32(a[i]);
                let got = half::f16::from_bits(out.f16s[i]);
                assert!(
                    got.to_bits() == h.to_bits() || got.is_nan() && h.is_nan(),
                    "{name} f16 {seed} of {}: {got} for {h}",
                    a[i]
                );
                let tiny = |x: f32| x.abs() < f32::MIN_POSITIVE && name.contains("BF16");
                let b0 = (out.bf16s[i / 2] >> (16 * (i % 2))) as u16;
                assert!(
                    a[i].is_nan() || tiny(a[i]) || b0 == to_bf16_bits(a[i]),
                    "{name} bf16 {seed} {}",
                    a[i]
                );
                assert!(
                    a[i].is_nan() || tiny(a[i]) || out.pairs[i] as u16 == to_bf16_bits(a[i]),
                    "{name} pair {seed}"
                );
                assert!(
                    b[i].is_nan() || tiny(b[i]) || (out.pairs[i] >> 16) as u16 == to_bf16_bits(b[i]),
                    "{name} pair {seed}"
                );
                let s = if a[i].abs() <= 127.0 { a[i] } else { -128.0 };
                let byte = (out.bytes[i / 4] >> (8 * (i % 4))) as u8;
                assert!(byte == s.round_ties_even() as i32 as u8, "{name} byte {seed}");
                for j in 0..LANES {
                    assert_eq!(out.transposed[i][j], (j * LANES + i) as f32, "{name}");
                }
            }
            let tame = a.map(|x| if x.abs() < 1e6 { x } else { 1.0 });
            let exact: f64 = tame.iter().map(|&x| f64::from(x)).sum();
            assert!(
                (f64::from(out.sum) - exact).abs()
                    <= 1e-6 * tame.iter().map(|x| f64::from(x.abs())).sum::<f64>(),
                "{name}"
            );
            assert_eq!(out.greatest, tame.iter().copied().fold(f32::NEG_INFINITY, f32::max), "{name}");
            let ints: i32 =
                a.iter().map(|&x| if x.abs() <= 127.0 { x.round_ties_even() as i32 } else { -128 }).sum();
            assert_eq!(out.sum_int, ints, "{name}");
        }
    }
}
