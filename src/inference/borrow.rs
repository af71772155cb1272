//! Lends the numbers of a candle tensor on the CPU to a kernel.

use candle_core::{CpuStorage, DType, Device, Storage, Tensor};

use super::Error;
use super::kernels::element::Element;

/// A tensor is not on the CPU or not contiguous: a mistake in this room, not of its caller.
fn unfit(tensor: &Tensor) -> Error {
    let (device, layout) = (tensor.device().location(), tensor.layout());
    candle_core::Error::Msg(format!("a kernel cannot read {layout:?} on {device:?}")).into()
}

/// Lends the storage that `tensor` is all of.
pub(super) fn with_storage<R>(
    tensor: &Tensor,
    work: impl FnOnce(&CpuStorage) -> Result<R, Error>,
) -> Result<R, Error> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) if layout.is_contiguous() && layout.start_offset() == 0 => work(storage),
        _ => Err(unfit(tensor)),
    }
}

/// Lends the numbers of `tensor`.
pub(super) fn with_numbers<T: Element, R>(
    tensor: &Tensor,
    work: impl FnOnce(&[T]) -> Result<R, Error>,
) -> Result<R, Error> {
    with_storage(tensor, |storage| {
        let numbers = storage.as_slice::<T>()?;
        work(numbers.get(..tensor.elem_count()).ok_or_else(|| unfit(tensor))?)
    })
}

/// The tensor, [rows, columns], of `numbers` on the CPU.
pub(super) fn matrix(numbers: Vec<f32>, columns: usize) -> Result<Tensor, Error> {
    let rows = numbers.len() / columns;
    Ok(Tensor::from_vec(numbers, (rows, columns), &Device::Cpu)?)
}

/// A copy of the numbers as f32, wherever they are.
pub(super) fn to_numbers(tensor: &Tensor) -> Result<Vec<f32>, Error> {
    Ok(tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?)
}
