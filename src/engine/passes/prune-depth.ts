import { cloneModel } from '../ir/clone.ts'
import type { Node, Value } from '../ir/graph.ts'
import type { Model } from '../ir/model.ts'
import { inferTypes } from '../ops/index.ts'
import { removeDeadNodes, removeUnusedInitializers } from '../rewrite/dead.ts'
import { liftConstants } from '../rewrite/lift-constants.ts'
import { measureChange } from './depth/measure-change.ts'
import { findResidualBlocks, type ResidualBlock } from './depth/residual-blocks.ts'
import { definePass, type Note, type PassContext } from './pass.ts'
import { isExcluded } from './quantize/linear-nodes.ts'

/** Removes the residual blocks that change least of what flows through them: a shallower model of the same form. */
export const pruneDepthPass = definePass({
  name: 'prune.depth',
  stage: 'optimize',
  version: 1,
  async run(original, { ratio, samples, exclude }, context) {
    const model = cloneModel(original)
    liftConstants(model)
    const found = findResidualBlocks(model.graph, inferTypes(model))
    const notes: Note[] = found.length === 0 ? [{ action: 'info', reason: 'it has no residual block' }] : []
    const blocks = found.filter((block) => !noteExcluded(block, exclude, notes))
    const wanted = Math.floor(blocks.length * ratio)
    if (wanted === 0) return { model: original, modified: false, notes: [...notes, ...tooFew(blocks, ratio)] }
    const ranked = await rankBlocks(model, blocks, samples, context)
    notes.push(...removeLeast(model, ranked, wanted))
    removeDeadNodes(model.graph)
    removeUnusedInitializers(model)
    return { model, modified: true, notes }
  },
})

interface Ranked {
  readonly block: ResidualBlock
  readonly change: number
}

async function rankBlocks(
  model: Model,
  blocks: readonly ResidualBlock[],
  samples: number,
  context: PassContext,
): Promise<Ranked[]> {
  const changes = await measureChange(model, blocks, samples, context)
  // A change that is not finite says that the block matters to numbers that nobody understands.
  return blocks
    .map((block, index) => ({ block, change: finiteOr(changes[index], Number.POSITIVE_INFINITY) }))
    .toSorted((a, b) => a.change - b.change)
}

const finiteOr = (value: number | undefined, other: number) =>
  value !== undefined && Number.isFinite(value) ? value : other

function noteExcluded({ nodes, output }: ResidualBlock, exclude: readonly string[], notes: Note[]): boolean {
  const isOut = [...nodes].some((node) => isExcluded(node, exclude))
  if (isOut) notes.push({ node: output.producer?.name ?? '', action: 'skipped', reason: 'excluded by the options' })
  return isOut
}

function tooFew(blocks: readonly ResidualBlock[], ratio: number): Note[] {
  if (blocks.length === 0) return []
  return [{ action: 'info', reason: `of ${blocks.length} residual blocks, ${ratio} is less than one` }]
}

/** Bypasses the first blocks that are not inside or around another that went. */
function removeLeast({ graph }: Model, ranked: readonly Ranked[], wanted: number): Note[] {
  const gone = new Set<Node>()
  const bypassed = new Map<Value, Value>()
  return ranked.map(({ block, change }) => {
    const isWanted = bypassed.size < wanted && ![...block.nodes].some((node) => gone.has(node))
    if (isWanted) {
      // Its input may itself be what a bypassed block gave.
      graph.replaceAllUses(block.output, resolve(block.input, bypassed))
      bypassed.set(block.output, block.input)
      for (const node of block.nodes) gone.add(node)
    }
    return describe(block, change, isWanted)
  })
}

function resolve(value: Value, bypassed: ReadonlyMap<Value, Value>): Value {
  const before = bypassed.get(value)
  return before === undefined ? value : resolve(before, bypassed)
}

function describe({ nodes, output }: ResidualBlock, change: number, isRemoved: boolean): Note {
  const share = Number.isFinite(change)
    ? `its output differs from its input by ${change.toPrecision(3)} (1 − cosine)`
    : 'how much it changes can not be told, as its values on the samples are all zero or not finite'
  const reason = isRemoved ? `${share}: removed with its ${nodes.size} nodes` : `${share}: stays`
  return { node: output.producer?.name ?? '', op: 'Add', action: isRemoved ? 'done' : 'skipped', reason }
}
