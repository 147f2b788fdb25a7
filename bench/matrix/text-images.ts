import { createRandom, sampleInteger, type Random } from '../../src/engine/data/random.ts'

/**
 * A character, and its seven rows of five dots: a digit in base 32 is a row, its highest bit on the left. What is not
 * there, as the space, has no dots.
 */
const glyphs = new Map(
  `
  Aehhvhhh Buhhuhhu Cehggghe Duhhhhhu Evgguggv Fvgguggg Gehgnhhe Hhhhvhhh Ie44444e J72222ic
  Khikokih Lggggggv Mhrllhhh Nhhpljhh Oehhhhhe Puhhuggg Qehhhlid Ruhhukih Sfgge11u Tv444444
  Uhhhhhhe Vhhhhha4 Whhhllla Xhha4ahh Yhhha444 Zv1248gv 0ehjlphe 14c4444e 2eh1248v 3v2421he
  426aiv22 5vgu11he 668guhhe 7v124888 8ehhehhe 9ehhf12c
  `
    .trim()
    .split(/\s+/)
    .map((each): [string, string] => [each.slice(0, 1), each.slice(1)]),
)
const characters = [...glyphs.keys()]
const glyphRows = 7
const glyphColumns = 5
/** Dots from one character to the next. */
const pitch = 6

/** A line of text and where its top left corner is, in pixels; `scale` is the size of a dot. */
export interface TextLine {
  readonly text: string
  readonly x: number
  readonly y: number
  readonly scale: number
}

/** How much ink is at a pixel, 0 to 1: between the middles of dots it goes over evenly, as scanned letters do. */
export function inkAt({ text, x, y, scale }: TextLine, column: number, row: number): number {
  const u = (column - x) / scale
  const v = (row - y) / scale
  const [left, top] = [Math.floor(u), Math.floor(v)]
  const [right, below] = [u - left, v - top]
  const upper = dot(text, left, top) * (1 - right) + dot(text, left + 1, top) * right
  const lower = dot(text, left, top + 1) * (1 - right) + dot(text, left + 1, top + 1) * right
  // Steeper than the plain interpolation, so that strokes are as wide as a dot.
  return Math.min(1, Math.max(0, 1.6 * (upper * (1 - below) + lower * below) - 0.2))
}

function dot(text: string, column: number, row: number): number {
  if (row < 0 || row >= glyphRows || column < 0) return 0
  const within = column % pitch
  const glyph = glyphs.get(text[Math.floor(column / pitch)] ?? ' ')
  if (glyph === undefined || within >= glyphColumns) return 0
  return (Number.parseInt(glyph[row] as string, 32) >> (glyphColumns - 1 - within)) & 1
}

export interface Picture {
  readonly height: number
  readonly width: number
  readonly lines: readonly TextLine[]
  readonly upsideDown: boolean
  /** Brightness of a channel, 0 to 1. */
  readonly ink: readonly number[]
  readonly paper: readonly number[]
}

/** Channels, rows, columns; brightness 0 to 1 with some noise, lit unevenly. */
export function paint(picture: Picture, random: Random): Float32Array {
  const { height, width, upsideDown, ink, paper } = picture
  const pixels = new Float32Array(3 * height * width)
  const cover = coverOf(picture)
  for (let index = 0; index < pixels.length; index += 1) {
    const pixel = index % (height * width)
    const channel = Math.floor(index / (height * width))
    const share = cover[upsideDown ? height * width - 1 - pixel : pixel] as number
    const light = 0.94 + 0.06 * Math.sin((pixel % width) / 70)
    const value = (share * (ink[channel] as number) + (1 - share) * (paper[channel] as number)) * light
    pixels[index] = Math.min(1, Math.max(0, value + (random() - 0.5) * 0.06))
  }
  return pixels
}

function coverOf({ height, width, lines }: Picture): Float32Array {
  const cover = new Float32Array(height * width)
  for (const line of lines) {
    const last = Math.min(height, Math.ceil(line.y + (glyphRows + 1) * line.scale))
    for (let row = Math.max(0, Math.floor(line.y - line.scale)); row < last; row += 1) {
      for (let column = 0; column < width; column += 1) {
        const at = row * width + column
        cover[at] = Math.max(cover[at] as number, inkAt(line, column, row))
      }
    }
  }
  return cover
}

function between(random: Random, low: number, high: number): number {
  return low + random() * (high - low)
}

/** Words of two to eight characters, as many as fit. */
function randomText(random: Random, length: number): string {
  let text = ''
  while (text.length < length) {
    const word = Array.from(
      { length: 2 + sampleInteger(random, 7) },
      () => characters[sampleInteger(random, characters.length)],
    )
    text += `${text === '' ? '' : ' '}${word.join('')}`
  }
  return text.slice(0, length).trimEnd()
}

/** Colours of a page: dark on light, or now and then light on dark. */
function randomColours(random: Random): Pick<Picture, 'ink' | 'paper'> {
  const dark = [0, 1, 2].map(() => between(random, 0, 0.3))
  const light = [0, 1, 2].map(() => between(random, 0.7, 1))
  return random() < 0.8 ? { ink: dark, paper: light } : { ink: light, paper: dark }
}

/** One line that fills the picture, as a recognizer gets it. */
export function linePicture(random: Random, height: number, width: number, upsideDown = false): Picture {
  const scale = between(random, (height * 0.62) / glyphRows, (height * 0.8) / glyphRows)
  const fitting = Math.floor((width - 2 * scale) / (pitch * scale))
  const text = randomText(random, Math.max(2, Math.round(between(random, 0.5, 1) * fitting)))
  const line = { text, x: between(random, 0.5, 2) * scale, y: (height - (glyphRows - 1) * scale) / 2, scale }
  return { height, width, lines: [line], upsideDown, ...randomColours(random) }
}

/** Some lines of different sizes below each other, as a detector gets them. */
export function pagePicture(random: Random, height: number, width: number): Picture {
  const lines: TextLine[] = []
  for (let y = between(random, 8, 40); y < height - 30;) {
    const scale = between(random, 1.6, 3.6)
    const x = between(random, 6, width / 3)
    const text = randomText(random, Math.floor(((width - x) / (pitch * scale)) * between(random, 0.4, 1)))
    lines.push({ text, x, y, scale })
    y += (glyphRows + between(random, 3, 14)) * scale
  }
  return { height, width, lines, upsideDown: false, ...randomColours(random) }
}

/** Pictures one after the other, brightness turned into what the model was trained on: (x − mean) / deviation. */
export function paintAll(
  count: number,
  seed: number,
  draw: (random: Random, index: number) => Picture,
  { mean, deviation }: { readonly mean: readonly number[]; readonly deviation: readonly number[] },
): Float32Array {
  const random = createRandom(seed)
  const pictures = Array.from({ length: count }, (_, index) => paint(draw(random, index), random))
  const length = pictures[0]?.length ?? 0
  const all = new Float32Array(count * length)
  pictures.forEach((pixels, index) => all.set(pixels, index * length))
  const plane = length / 3
  return all.map((value, index) => {
    const channel = Math.floor(index / plane) % 3
    return (value - (mean[channel] as number)) / (deviation[channel] as number)
  })
}
