const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Markup that is safe as it is: made here, or escaped. */
export class Html {
  readonly markup: string

  constructor(markup: string) {
    this.markup = markup
  }
}

type Piece = Html | string | number
type Part = Piece | readonly Piece[]

/** A template whose values are escaped unless they are markup themselves, so that forgetting to escape is impossible. */
export function html(strings: TemplateStringsArray, ...values: readonly Part[]): Html {
  const rest = values.map((value, index) => render(value) + (strings[index + 1] ?? ''))
  return new Html((strings[0] ?? '') + rest.join(''))
}

export const nothing = new Html('')

function render(value: Part): string {
  if (value instanceof Html) return value.markup
  if (typeof value === 'string' || typeof value === 'number') return escapeHtml(String(value))
  return value.map((item) => render(item)).join('')
}

function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? '')
}
