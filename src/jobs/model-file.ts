import { HastenError } from '../errors.ts'

/**
 * The name of the ONNX file among the files of a model; the others are its external data.
 * @throws HastenError `model_invalid` when there is none
 */
export function findModelFile(files: readonly { readonly name: string }[]): string {
  const found = files.find(({ name }) => name.toLowerCase().endsWith('.onnx')) ?? files[0]
  if (found === undefined) throw new HastenError('model_invalid', 'The model has no file.')
  return found.name
}
