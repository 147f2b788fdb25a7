import type { Change, EvidenceRow, Unit } from './evidence.ts'

const missing = '–'

const formats: Readonly<Record<Unit, (value: number) => string>> = {
  ms: (value) => `${significant(value)} ms`,
  per_second: (value) => `${significant(value)} /s`,
  bytes: formatBytes,
  fraction: (value) => `${(value * 100).toFixed(2)} %`,
  plain: significant,
}

export function formatValue(value: number | null, unit: Unit): string {
  return value === null ? missing : formats[unit](value)
}

/** `2.31× [2.24, 2.38]`, `26 %`, `−0.40 pp [−0.90, +0.10]`. */
export function formatChange({ change, unit }: Pick<EvidenceRow, 'change' | 'unit'>): string {
  if (change === null) return missing
  const { kind, value, ci95 } = change
  if (kind === 'difference')
    return withInterval(value, ci95, (number) => signed(number, unit), unit === 'fraction' ? ' pp' : '')
  if (kind === 'speedup') return withInterval(value, ci95, (number) => number.toFixed(2), '×')
  return `${(value * 100).toFixed(value < 0.1 ? 1 : 0)} %`
}

function withInterval(value: number, ci95: Change['ci95'], format: (value: number) => string, unit: string): string {
  const text = `${format(value)}${unit}`
  return ci95 === null ? text : `${text} [${format(ci95[0])}, ${format(ci95[1])}]`
}

/** Differences of fractions are percentage points. */
function signed(value: number, unit: Unit): string {
  const text = unit === 'fraction' ? Math.abs(value * 100).toFixed(2) : significant(Math.abs(value))
  if (Number(text) === 0) return text
  return `${value < 0 ? '−' : '+'}${text}`
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB']
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, bytes)) / 3)))
  return `${significant(bytes / 1000 ** power)} ${units[power]}`
}

export function formatDuration(ms: number | null): string {
  if (ms === null) return missing
  if (ms < 1000) return `${ms} ms`
  return ms < 60_000
    ? `${(ms / 1000).toFixed(1)} s`
    : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`
}

/** Three significant digits, without an exponent where one can do without. */
function significant(value: number): string {
  if (value === 0) return '0'
  const magnitude = Math.floor(Math.log10(Math.abs(value)))
  if (magnitude < -6 || magnitude > 12) return value.toExponential(2)
  return value.toFixed(Math.min(9, Math.max(0, 2 - magnitude)))
}

/** Nested facts as `cpu.model: …` lines, arrays joined. */
export function flattenFacts(value: unknown, prefix = ''): [name: string, text: string][] {
  if (Array.isArray(value)) return [[prefix, value.map((item) => plainText(item)).join(', ')]]
  if (typeof value !== 'object' || value === null) return [[prefix, value === null ? missing : plainText(value)]]
  return Object.entries(value).flatMap(([key, item]) => flattenFacts(item, prefix === '' ? key : `${prefix}.${key}`))
}

function plainText(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
}
