/** OpenAPI content of the upload routes: their bodies are read as streams, so no validator sees these schemas. */
const file = (description: string) => ({ type: 'string', contentMediaType: 'application/octet-stream', description })

const form = (properties: Record<string, object>) => ({
  'multipart/form-data': { schema: { type: 'object', required: ['file'], additionalProperties: false, properties } },
})

const name = { type: 'string', description: 'Made from the file name when absent.' }
const metadata = { type: 'string', description: 'A flat JSON object of strings.' }

const modelFile = file('An .onnx; or a .zip or .tar with one .onnx and its external data.')

export const modelForm = form({ file: modelFile, name, metadata })
export const datasetForm = form({
  file: file('An .npz with one array per model input, first axis samples; or an .npy.'),
  name,
  metadata,
  label: { type: 'string', description: 'Name of the array with the labels; `labels` when absent.' },
})
export const rawModel = { 'application/octet-stream': { schema: modelFile } }
