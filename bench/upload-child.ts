// Uploads one model and ends: a process of its own, so that whoever measures answers meanwhile has its event loop free.
// node bench/upload-child.ts API_URL KEY FILE NAME
import { openAsBlob } from 'node:fs'

const [url = '', key = '', file = '', name = ''] = process.argv.slice(2)
const response = await fetch(new URL(`/v1/models/${name}/content`, url), {
  method: 'PUT',
  body: await openAsBlob(file),
  headers: { authorization: `Bearer ${key}`, 'content-type': 'application/octet-stream' },
})
if (!response.ok) throw new Error(await response.text())
