/**
 * The upper triangle U with UᵀU = H⁻¹ of a symmetric positive definite H, row-major [size, size]. With J reversing the
 * order of rows and columns and JHJ = LLᵀ, U is J L⁻¹ J: one factorization and one triangular inverse.
 * @returns undefined when H is not positive definite
 */
export function inverseCholesky(matrix: Float64Array, size: number): Float64Array | undefined {
  const lower = choleskyOf(matrix.toReversed(), size)
  return lower === undefined ? undefined : invertLower(lower, size).toReversed()
}

/**
 * The lower triangle L with LLᵀ = H.
 * @returns undefined when H is not positive definite
 */
export function choleskyOf(matrix: Float64Array, size: number): Float64Array | undefined {
  const lower = new Float64Array(size * size)
  for (let row = 0; row < size; row += 1) {
    for (let column = 0; column <= row; column += 1) {
      let sum = matrix[row * size + column] as number
      for (let k = 0; k < column; k += 1) {
        sum -= (lower[row * size + k] as number) * (lower[column * size + k] as number)
      }
      if (row === column && !(sum > 0)) return undefined
      lower[row * size + column] = row === column ? Math.sqrt(sum) : sum / (lower[column * (size + 1)] as number)
    }
  }
  return lower
}

/** L⁻¹ row by row: row i is (eᵢ − Σ_{k<i} L[i,k] · row k) / L[i,i]. */
function invertLower(lower: Float64Array, size: number): Float64Array {
  const inverse = new Float64Array(size * size)
  for (let row = 0; row < size; row += 1) {
    const target = inverse.subarray(row * size, (row + 1) * size)
    target[row] = 1
    for (let k = 0; k < row; k += 1) {
      const factor = lower[row * size + k] as number
      for (let column = 0; column <= k; column += 1) {
        target[column] = (target[column] as number) - factor * (inverse[k * size + column] as number)
      }
    }
    const diagonal = lower[row * (size + 1)] as number
    for (let column = 0; column <= row; column += 1) target[column] = (target[column] as number) / diagonal
  }
  return inverse
}
