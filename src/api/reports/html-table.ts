import { html, nothing, type Html } from './html-text.ts'

export function table(head: readonly Html[], rows: readonly Html[]): Html {
  if (rows.length === 0) return nothing
  return html`<div class="scroll">
    <table>
      <thead>
        <tr>
          ${head}
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>
  </div>`
}

export const th = (text: string) => html`<th scope="col">${text}</th>`
export const numericHead = (text: string) => html`<th scope="col" class="num">${text}</th>`
