#!/usr/bin/env bash
# Runs the kernels' unit tests where `cargo test` does not: with the address sanitizer, with the thread sanitizer, and on an
# emulated 64-bit Arm processor.
#
#   kernels_elsewhere.sh address|thread|neon FOLDER
#
# FOLDER is a scratch folder, which keeps builds from one run to the next. `address` needs rustc for x86-64 Linux. `thread` and
# `neon` run in a Debian of their own inside FOLDER, some 4 GB, because they need what a plain installation of Rust lacks: the
# source of its standard library, and one for Arm. They need root, debootstrap and an x86-64 Linux.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
usage="usage: kernels_elsewhere.sh address|thread|neon FOLDER"
what="${1:?$usage}"
scratch="${2:?$usage}"
mirror="${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
mkdir -p "$scratch"
scratch="$(cd "$scratch" && pwd)"
debian="$scratch/debian"

# Puts the crate and the kernels into a folder, as they lie in the repository.
copy_into() {
  rm -rf "$1"
  mkdir -p "$1/src/inference" "$1/tests/kernels"
  cp -r "$here/../../src/inference/kernels" "$1/src/inference/"
  cp "$here/Cargo.toml" "$here/Cargo.lock" "$here/lib.rs" "$1/tests/kernels/"
}

# Runs a program in the Debian, which sees its own processes only.
inside() {
  unshare --mount --pid --fork --mount-proc="$debian/proc" chroot "$debian" "$@"
}

# The Debian with packages. Its unstable suite has the newest Rust, one version of it for both processors.
prepare() {
  if [[ ! -e "$debian/ready" ]]; then
    rm -rf "$debian"
    debootstrap --variant=minbase sid "$debian" "$mirror"
    # A mirror may lag behind, or stand for a day in the past.
    echo 'Acquire::Check-Valid-Until "false";' > "$debian/etc/apt/apt.conf.d/90kernels"
    inside dpkg --add-architecture arm64
    inside apt-get update
    touch "$debian/ready"
  fi
  inside env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ca-certificates cargo rustc "$@"
  # Who reaches crates.io through a proxy may trust an authority that Debian does not know.
  if [[ -e /etc/ssl/certs/ca-certificates.crt ]]; then
    cp /etc/ssl/certs/ca-certificates.crt "$debian/etc/ssl/certs/"
  fi
  cp /etc/resolv.conf "$debian/etc/resolv.conf"
  copy_into "$debian/kernels"
}

case "$what" in
  address)
    copy_into "$scratch/address"
    # Pages that the system maps lie side by side, and a read beyond one is not seen. What other systems use, the allocator's
    # memory, has guards around it: it is tested here instead.
    memory="$scratch/address/src/inference/kernels/memory.rs"
    sed -i 's/^#\[cfg(unix)\]$/#[cfg(any())]/; s/^#\[cfg(not(unix))\]$/#[cfg(all())]/' "$memory"
    grep -q '^#\[cfg(all())\]$' "$memory" || { echo "memory.rs no longer has a part for other systems" >&2; exit 1; }
    export RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address"
    export CARGO_TARGET_DIR="$scratch/address-target"
    cargo test --locked --manifest-path "$scratch/address/tests/kernels/Cargo.toml" --target x86_64-unknown-linux-gnu
    ;;
  thread)
    prepare clang libclang-rt-dev llvm rust-src
    # The standard library is built with the sanitizer, too: otherwise what its locks guard looks like a race. rustix calls
    # mmap and munmap of the C library, which the sanitizer knows, and not the kernel, behind whose back an address changes hands.
    flags="-Zsanitizer=thread -Zexternal-clangrt -Clinker=clang -Clink-arg=-fsanitize=thread --cfg=rustix_use_libc"
    inside env RUSTC_BOOTSTRAP=1 RUSTFLAGS="$flags" CARGO_TARGET_DIR=/kernels-thread TSAN_OPTIONS="history_size=7" \
      cargo test --locked --manifest-path /kernels/tests/kernels/Cargo.toml -Zbuild-std --target x86_64-unknown-linux-gnu
    ;;
  neon)
    prepare gcc-aarch64-linux-gnu libc6-dev-arm64-cross libstd-rust-dev:arm64 qemu-user
    # The first of the processors has the instructions for halves that Armv8.2 brought, the second does not.
    for processor in max cortex-a53; do
      inside env CARGO_TARGET_DIR=/kernels-neon CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
        CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -cpu $processor -L /usr/aarch64-linux-gnu" \
        cargo test --locked --manifest-path /kernels/tests/kernels/Cargo.toml --target aarch64-unknown-linux-gnu
    done
    ;;
  *)
    echo "$usage" >&2
    exit 2
    ;;
esac
