import type { NumericTensor } from '../../engine/serving.ts'

/** A tensor of the dims and the float dtype of another, with these values. */
export function floatTensor({ dtype, dims }: NumericTensor, values: Float64Array): NumericTensor {
  return { dtype, dims, bytes: bytesOf(dtype, values) }
}

function bytesOf(dtype: NumericTensor['dtype'], values: Float64Array): Uint8Array {
  if (dtype === 'float64') return new Uint8Array(values.buffer)
  if (dtype === 'float16') return new Uint8Array(Float16Array.from(values).buffer)
  const floats = Float32Array.from(values)
  return dtype === 'bfloat16' ? toBfloat16(floats) : new Uint8Array(floats.buffer)
}

/** The upper half of each float, rounded to even. */
function toBfloat16(floats: Float32Array): Uint8Array {
  const halves = Uint16Array.from(new Uint32Array(floats.buffer), (bits, index) =>
    // Rounding would carry a NaN with few bits set over into an infinity or a zero.
    Number.isNaN(floats[index]) ? 0x7fc0 : (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16,
  )
  return new Uint8Array(halves.buffer)
}
