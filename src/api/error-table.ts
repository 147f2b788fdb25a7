import { errorTable, type ErrorRow } from '../errors.ts'
import { html } from './reports/html-text.ts'

const rows = Object.entries(errorTable) as [code: string, row: ErrorRow][]

/** docs/errors.md. */
export function renderErrorMarkdown(): string {
  const lines = rows.map(([code, { status, title, hint }]) => `| \`${code}\` | ${status} | ${title} | ${cell(hint)} |`)
  return `# Errors

Every error is \`application/problem+json\` with the members \`type\`, \`title\`, \`status\`, \`detail\`, \`instance\`, \`code\`,
\`errors\`, \`hint\` and \`error\` (the same as \`detail\`, for Open Inference clients). Codes are stable: programs should
decide by \`code\`, people read \`detail\` and \`hint\`. Failed jobs and deployments carry the same codes.

\`npm run openapi\` writes this table from \`src/errors.ts\`.

| code | status | title | what helps |
| --- | --- | --- | --- |
${lines.join('\n')}
`
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;')
}

/** The same as a page: where the `type` of a problem leads. */
export function renderErrorPage(): string {
  const items = rows.map(
    ([code, { status, title, hint }]) =>
      html`<tr id="${code}">
        <td><code>${code}</code></td>
        <td>${status}</td>
        <td>${title}</td>
        <td>${hint}</td>
      </tr>`,
  )
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>Hasten: errors</title>
        <style>
          :root {
            color-scheme: light dark;
          }
          body {
            font:
              16px/1.5 system-ui,
              sans-serif;
            max-width: 64rem;
            margin: 2rem auto;
            padding: 0 1rem;
          }
          td,
          th {
            text-align: left;
            vertical-align: top;
            padding: 0.3rem 0.8rem 0.3rem 0;
            border-bottom: 1px solid #8884;
          }
          :target {
            background: #fd06;
          }
        </style>
      </head>
      <body>
        <h1>Errors</h1>
        <table>
          <thead>
            <tr>
              <th>code</th>
              <th>status</th>
              <th>title</th>
              <th>what helps</th>
            </tr>
          </thead>
          <tbody>
            ${items}
          </tbody>
        </table>
      </body>
    </html> `.markup
}
