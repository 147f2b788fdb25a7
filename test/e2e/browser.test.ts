import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startHasten, type HastenProcess } from '../../scripts/lib/hasten-process.ts'
import { findChromium, launchBrowser } from '../support/browser.ts'

const chromium = findChromium()
const digits = path.resolve(import.meta.dirname, '../../examples/digits/digits.onnx')

/** Dark pixels would show nothing but a page that failed to paint; text is what people read. */
const readText = `document.body.innerText`

describe.skipIf(chromium === undefined)(
  `in a browser${chromium === undefined ? ' (skipped: no Chromium on PATH)' : ''}`,
  () => {
    let hasten: HastenProcess
    let browser: Browser
    let folder: string

    beforeAll(async () => {
      folder = await mkdtemp(path.join(tmpdir(), 'hasten-page-'))
      hasten = await startHasten({ MEASURE_BUDGET_MS: '1000' })
      browser = await launchBrowser(chromium!)
    }, 120_000)

    afterAll(async () => {
      await browser?.close()
      await hasten?.stop()
      await rm(folder, { recursive: true, force: true })
    })

    test('the docs page shows every operation and asks no other host for anything', async () => {
      const page = await browser.newPage()
      const elsewhere: string[] = []
      page.on('request', (request) => {
        if (!request.url().startsWith(hasten.url) && !request.url().startsWith('data:')) elsewhere.push(request.url())
      })
      const complaints: string[] = []
      page.on('pageerror', (error) => complaints.push(error.message))
      await page.goto(`${hasten.url}/docs`)
      await page.getByText('/v1/jobs/{id}/events').first().waitFor()
      expect(await page.evaluate(readText)).toContain('/v2/models')
      expect(elsewhere).toEqual([])
      expect(complaints).toEqual([])
      await page.close()
    })

    test('the report reads the same without JavaScript, from a file, on a narrow screen', async () => {
      const model = await hasten.client.upload<{ id: string }>('/v1/models', digits, { name: 'digits' })
      const job = await hasten.client.post<{ id: string; state: string }>(
        '/v1/jobs',
        { model: model.id, recipe: 'lossless', gates: ['max_abs <= 0.001'] },
        { prefer: 'wait=120' },
      )
      expect(job.state).toBe('succeeded')
      const file = path.join(folder, 'report.html')
      await writeFile(file, await (await hasten.client.fetch(`/v1/jobs/${job.id}/report.html`)).text())
      const context = await browser.newContext({ javaScriptEnabled: false, viewport: { width: 390, height: 800 } })
      const page = await context.newPage()
      await page.goto(pathToFileURL(file).href)
      const text = await page.locator('body').innerText()
      for (const part of ['Evidence', 'p50', 'max_abs <= 0.001', 'Placement', 'Recipe']) expect(text).toContain(part)
      expect(await page.locator('svg').count()).toBeGreaterThan(0)
      await context.close()
    })
  },
)
