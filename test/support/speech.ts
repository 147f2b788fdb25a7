import path from 'node:path'
import { createRandom, sampleNormal, type Random } from '../../src/engine/data/random.ts'
import { tensorOf, viewOf, writeNpz, type Runtime, type Tensor } from '../../src/engine/index.ts'

const rate = 16_000

interface VadModel {
  readonly model: string
  /** Samples of audio that one run takes. */
  readonly window: number
  /** What goes from one run to the next: input, output, dims. */
  readonly states: readonly (readonly [input: string, output: string, dims: readonly number[]])[]
}

const vadAssets = path.join(import.meta.dirname, '../../node_modules/@ricky0123/vad-web/dist')

/** Two generations of Silero VAD, which says how likely a window holds speech. */
export const vadModels = {
  v5: {
    model: path.join(vadAssets, 'silero_vad_v5.onnx'),
    window: 512,
    states: [['state', 'stateN', [2, 1, 128]]],
  },
  legacy: {
    model: path.join(vadAssets, 'silero_vad_legacy.onnx'),
    window: 1536,
    states: [
      ['h', 'hn', [2, 1, 64]],
      ['c', 'cn', [2, 1, 64]],
    ],
  },
} as const satisfies Record<string, VadModel>

/** Formants of five vowels in Hz (Peterson and Barney, 1952, men). */
const vowels = [
  [270, 2290, 3010],
  [390, 1990, 2550],
  [730, 1090, 2440],
  [570, 840, 2410],
  [300, 870, 2240],
] as const

/** A pulse train of glottal closures through three resonators, its pitch falling; about a syllable's vowel. */
function vowel(random: Random, length: number): Float32Array {
  const formants = vowels[Math.floor(random() * vowels.length)] ?? vowels[0]
  const pitch = 90 + 130 * random()
  let phase = 0
  const pulses = Float32Array.from({ length }, (_, index) => {
    phase += (pitch * (1 - (0.15 * index) / length)) / rate
    if (phase < 1) return 0.01 * sampleNormal(random)
    phase -= 1
    return 1
  })
  let sound: Float32Array = pulses
  for (const formant of formants) sound = resonate(sound, formant, 60 + formant / 25)
  const peak = sound.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6)
  return sound.map((value, index) => (0.4 * value * Math.sin((Math.PI * (index + 1)) / (length + 1)) ** 0.5) / peak)
}

/** A two-pole filter, as in a formant synthesizer (Klatt, 1980). */
function resonate(signal: Float32Array, frequency: number, bandwidth: number): Float32Array {
  const radius = Math.exp((-Math.PI * bandwidth) / rate)
  const [b, c] = [2 * radius * Math.cos((2 * Math.PI * frequency) / rate), -radius * radius]
  let [last, before] = [0, 0]
  return signal.map((value) => {
    const next = (1 - b - c) * value + b * last + c * before
    before = last
    last = next
    return next
  })
}

/** Hissing of a consonant: the differences of white noise. */
function hiss(random: Random, length: number): Float32Array {
  let last = 0
  return Float32Array.from({ length }, () => {
    const next = 0.04 * sampleNormal(random)
    const value = next - last
    last = next
    return value
  })
}

/** Audio like speech at 16 kHz, −1 to 1: words of syllables, with pauses between that hold faint noise only. */
function synthesizeSpeech(seconds: number, seed: number): Float32Array {
  const random = createRandom(seed)
  const audio = Float32Array.from({ length: seconds * rate }, () => 0.002 * sampleNormal(random))
  const put = (sound: Float32Array, at: number) => {
    for (let index = 0; index < sound.length && at + index < audio.length; index += 1) {
      audio[at + index] = (audio[at + index] ?? 0) + (sound[index] ?? 0)
    }
    return at + sound.length
  }
  for (let at = rate / 4; at < audio.length;) {
    for (let syllables = 1 + Math.floor(random() * 6); syllables > 0; syllables -= 1) {
      if (random() < 0.5) at = put(hiss(random, Math.round(rate * (0.04 + 0.08 * random()))), at)
      at = put(vowel(random, Math.round(rate * (0.08 + 0.17 * random()))), at)
    }
    at += Math.round(rate * (0.1 + 0.9 * random()))
  }
  return audio
}

/**
 * Writes what Silero reads while it listens: each window of the audio with the state that the windows before it left.
 * Every sample is a whole input, since the state's batch is not its first axis.
 */
export async function writeSpeech(
  runtime: Runtime,
  file: string,
  { model, window, states }: VadModel,
  { windows, seed }: { windows: number; seed: number },
): Promise<void> {
  const audio = synthesizeSpeech(Math.ceil((windows * window) / rate), seed)
  const session = await runtime.createSession({ path: model })
  const recorded: Record<string, Tensor>[] = []
  let carried: Record<string, Tensor> = Object.fromEntries(
    states.map(([input, , dims]) => [input, tensorOf('float32', dims, new Float32Array(dims.reduce((a, b) => a * b)))]),
  )
  try {
    for (let index = 0; index < windows; index += 1) {
      const input = tensorOf('float32', [1, window], audio.slice(index * window, (index + 1) * window))
      const feeds = { input, sr: tensorOf('int64', [], BigInt64Array.of(BigInt(rate))), ...carried }
      recorded.push(feeds)
      const outputs = await session.run(feeds)
      carried = Object.fromEntries(states.map(([to, from]) => [to, outputs[from] as Tensor]))
    }
  } finally {
    await session.release()
  }
  await writeNpz(file, stack(recorded))
}

function stack(samples: readonly Readonly<Record<string, Tensor>>[]): Record<string, Tensor> {
  const arrays = Object.entries(samples[0] ?? {}).map(([name, { dtype, dims }]): [string, Tensor] => {
    const all = samples.map((sample) => sample[name] as Tensor)
    const shape = [samples.length, ...dims]
    if (dtype === 'int64') {
      const values = all.flatMap((each) => Array.from(viewOf(each, 'int64')))
      return [name, tensorOf('int64', shape, BigInt64Array.from(values))]
    }
    const values = all.flatMap((each) => Array.from(viewOf(each, 'float32')))
    return [name, tensorOf('float32', shape, Float32Array.from(values))]
  })
  return Object.fromEntries(arrays)
}
